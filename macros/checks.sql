{# Stops a run whose workspace cannot be read, with one line that names the fault and the fix. #}
{% macro check_workspace() %}
    {% if execute and is_selected() %}{{ check_profile() }}{% endif %}
    {% if execute and is_selected() and 'workspace' not in setting('checks_off') %}
        {% if is_installed() %}{{ check_host() }}{% else %}{{ check_variables() }}{% endif %}
        {% for name in ['inputs', 'sources', 'mapping'] %}
            {% for table in setting(name) if table not in raw_tables() %}
                {{ stop("setting " ~ name ~ " names " ~ table ~ ", which is no raw table. The raw tables are " ~ raw_tables() | join(', ') ~ ".") }}
            {% endfor %}
        {% endfor %}
        {% if 'prediction_logs' not in setting('inputs') %}
            {{ stop("setting inputs lacks prediction_logs, which is always required.") }}
        {% endif %}
        {% for name in setting('segments') if name | lower in setting('protected_attributes') | map('lower') %}
            {{ stop("setting segments names " ~ name ~ ", a protected attribute too, which fairness alone may use. Leave it out of segments or of protected_attributes.") }}
        {% endfor %}
        {% for name in setting('segments') + setting('protected_attributes') if name | lower in taken_names() %}
            {{ stop("setting segments or protected_attributes names " ~ name ~ ", which the facts use for a column of their own. Map the column under another name.") }}
        {% endfor %}
        {% for table in setting('inputs') if not is_mapped(table) %}
            {{ check_raw_table(table) }}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# Stops where the name of the profile, by which dbt_project.yml knows a host, says otherwise than the name of the project. #}
{% macro check_profile() %}
    {% if is_installed() and target.profile_name == package_name() %}
        {{ stop("the profile of this project is called throughline, like that of Throughline's own project, so relations of ours would lie among yours: schema " ~ target.schema ~ "_marts and so on. Call it otherwise, in profiles.yml and in dbt_project.yml.") }}
    {% elif not is_installed() and target.profile_name != package_name() %}
        {{ stop("the profile is " ~ target.profile_name ~ ", and Throughline's own project would take itself for a package in another and leave the workspace unread. Call the profile throughline; --profiles-dir and --target choose among several.") }}
    {% endif %}
{% endmacro %}

{# Stops where the variables of the environment do not belong to one workspace of this project. #}
{% macro check_variables() %}
    {% set chosen = workspace() %}
    {% if env_var('THROUGHLINE_SEEDS', '').startswith('/') %}
        {{ stop("THROUGHLINE_SEEDS is an absolute path: with it dbt would write over your seeds. Give it relative to the project, or run `throughline use`.") }}
    {% endif %}
    {% if chosen.startswith('/') %}
        {{ stop("THROUGHLINE_WORKSPACE is the absolute path " ~ chosen ~ ": with it dbt would write over your seeds. Give it relative to the project, or run `throughline use " ~ chosen ~ "`.") }}
    {% endif %}
    {% set settings = workspace_settings() %}
    {% if settings.get('workspace', chosen) != chosen or (not settings and chosen != 'workspace') %}
        {{ stop("THROUGHLINE_WORKSPACE is " ~ chosen ~ " but the settings in THROUGHLINE_VARS are " ~ ("those of " ~ settings.workspace if settings.workspace else "not set") ~ ". Run `throughline use " ~ chosen ~ "`.") }}
    {% endif %}
{% endmacro %}

{# Columns of the facts and of what they are made from: no segment may be called so. #}
{% macro taken_names() %}
    {% set names = ['label_status', 'threshold_in_force', 'use_depth', 'is_positive', 'is_predicted_positive', 'is_actual_positive', 'is_correct'] %}
    {% for model in ['fct_decisions', 'fct_outcomes', 'dim_models', 'fct_unit_totals'] %}
        {% do names.extend(graph.nodes['model.' ~ package_name() ~ '.' ~ model].columns.keys()) %}
    {% endfor %}
    {% for table in ['prediction_logs', 'business_outcomes'] %}
        {% do names.extend(graph.sources['source.' ~ package_name() ~ '.raw.' ~ table].columns.keys()) %}
    {% endfor %}
    {{ return(names | reject('in', default_settings().segments + default_settings().protected_attributes) | list) }}
{% endmacro %}

{% macro check_raw_table(table) %}
    {% set format = table_format(table) %}
    {% if format is not none %}
        {{ stop("raw table " ~ table ~ " is a " ~ format.name ~ " table in " ~ format.folder ~ ": its files also hold rows that are deleted. Export its rows as Parquet, or name a relation that reads it in the setting sources.") }}
    {% endif %}
    {% set unread = unread_files(table) %}
    {% if unread %}
        {% do exceptions.warn("raw table " ~ table ~ ": " ~ unread | length ~ " files are not read: " ~ unread[:3] | join(', ') ~ (", …" if unread | length > 3 else "") ~ ". Deliver them as Parquet or CSV, or move them out of the folder.") %}
    {% endif %}
    {% set delivered = raw_columns(table) %}
    {% if delivered is none and contract(table).may_be_missing and table not in (setting('sources') or {}) %}
        {{ return('') }}
    {% endif %}
    {% if delivered is none %}
        {{ stop("raw table " ~ table ~ " " ~ missing_raw_table(table) ~ (", or leave it out of the setting inputs." if table != 'prediction_logs' else ".")) }}
    {% endif %}
    {% for column in contract(table).columns if column.required and delivered_expression(table, column, delivered) is none %}
        {{ stop("raw table " ~ table ~ " has no column " ~ column.name ~ ", which is required. It has " ~ delivered.keys() | join(', ') ~ ". Map it: setting mapping." ~ table ~ "." ~ column.name ~ ".") }}
    {% endfor %}
{% endmacro %}

{# Stops a run with an ungoverned metric, by name. Where dbt hands over no metrics, staging and core can still be built. #}
{% macro check_metrics() %}
    {% if execute and is_selected() and 'metrics' not in setting('checks_off') and (has_metrics() or goes_beyond_core()) %}
        {% set errors = [] %}
        {% for problem in metric_problems() %}
            {% set sentence = problem.what ~ '. ' ~ problem.fix %}
            {% if problem.severity == 'error' %}
                {% do errors.append(sentence) %}
            {% else %}
                {% do exceptions.warn(sentence) %}
            {% endif %}
        {% endfor %}
        {% if errors %}
            {{ stop(errors | join(' | ')) }}
        {% endif %}
    {% endif %}
{% endmacro %}

{# Whether there is a brick, and a metric made of bricks: some versions of dbt read their YAML and hand over neither. #}
{% macro has_metrics() %}
    {{ return(bricks() | length > 0 and metrics() | rejectattr('computed_in') | list | length > 0) }}
{% endmacro %}

{# Whether this run makes more than governed tables, staging and core, which are made without metrics. #}
{% macro goes_beyond_core() %}
    {% for name in selected_resources if name.startswith('model.' ~ package_name() ~ '.') and graph.nodes[name].fqn[1] not in ['config', 'staging', 'core'] %}
        {{ return(true) }}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}

{% macro problem(node, what, fix, severity='error') %}
    {{ return({'severity': severity, 'what': what, 'where': node.original_file_path, 'fix': fix}) }}
{% endmacro %}

{# Every fault of the metric definitions; none when all is well. #}
{% macro metric_problems() %}
    {% set problems = [] %}
    {% if not has_metrics() %}
        {{ return([problem({'original_file_path': 'dbt_project.yml'}, "dbt " ~ dbt_version ~ " hands over no metrics, so every number would be empty", "Build with dbt 1.12; where it is that, leave some metrics of throughline enabled.")]) }}
    {% endif %}
    {% for name, brick in bricks().items() if brick.agg != 'sum' %}
        {% do problems.append(problem(brick.semantic_model, "brick " ~ name ~ " has agg " ~ brick.agg ~ ": a brick is a sum", "Write the condition into a column or a case and use agg: sum.")) %}
    {% endfor %}
    {% for name, brick in bricks().items() if brick.is_redated or brick.is_semi_additive %}
        {% do problems.append(problem(brick.semantic_model, "brick " ~ name ~ " has " ~ ("an agg_time_dimension" if brick.is_redated else "a non_additive_dimension") ~ " of its own: a brick is dated and summed like its fact", "Take it out, or make a fact of that date.")) %}
    {% endfor %}
    {% for name, brick in bricks().items() if not brick.measure.startswith(brick_prefix()) and not is_of_host(brick.semantic_model) %}
        {% do problems.append(problem(brick.semantic_model, "brick " ~ name ~ " lacks the prefix " ~ brick_prefix() ~ ", which keeps its name from those of other projects", "Name the measure " ~ brick_prefix() ~ name ~ ".")) %}
    {% endfor %}
    {% set kinds = ['event', 'settled', 'outcome', 'label'] %}
    {% for name, brick in bricks().items() if brick_known_after(brick) not in kinds %}
        {% do problems.append(problem(brick.semantic_model, "brick " ~ name ~ " has known_after " ~ brick_known_after(brick) ~ ", which is not one of " ~ kinds | join(', '), "Choose one.")) %}
    {% endfor %}
    {% for name, brick in bricks().items() %}
        {% set settled_at = brick_settled_at(brick) %}
        {% set fact = graph.nodes[brick.semantic_model.depends_on.nodes[0]] %}
        {% if brick_known_after(brick) == 'settled' and not settled_at %}
            {% do problems.append(problem(brick.semantic_model, "brick " ~ name ~ " is known once it is settled, and nothing says when", "Name the column of " ~ fact.name ~ " under config.meta.settled_at.")) %}
        {% elif settled_at and settled_at not in fact.columns %}
            {% do problems.append(problem(brick.semantic_model, "brick " ~ name ~ " has settled_at " ~ settled_at ~ ", which is no column of " ~ fact.name, "Name one of its columns.")) %}
        {% endif %}
    {% endfor %}
    {% do problems.extend(host_problems()) %}
    {% do problems.extend(metrics_off_problems()) %}
    {% set governed = metrics() %}
    {% for metric in governed %}
        {% do problems.extend(card_problems(metric)) %}
        {% do problems.extend(reference_problems(metric, governed)) %}
        {% do problems.extend(review_problems(metric)) %}
    {% endfor %}
    {% do problems.extend(twin_problems(governed)) %}
    {{ return(problems) }}
{% endmacro %}

{# Names of the setting metrics_off that no metric has. #}
{% macro metrics_off_problems() %}
    {% set names = graph.metrics.values() | map(attribute='name') | list %}
    {% for node in ours(graph.nodes) if node.resource_type == 'model' %}{% do names.extend(node.config.meta.get('shape_metrics', {})) %}{% endfor %}
    {% set problems = [] %}
    {% for name in setting('metrics_off') if name not in names %}
        {% do problems.append(problem({'original_file_path': 'setting metrics_off'}, "metrics_off names " ~ name ~ ", which is no metric", "Name a metric of dim_metrics, or take it out.")) %}
    {% endfor %}
    {{ return(problems) }}
{% endmacro %}

{# Faults of the semantic models that a host adds. #}
{% macro host_problems() %}
    {% set problems = [] %}
    {% set counts = {} %}
    {% for fact in semantic_models() %}
        {% for measure in fact.measures %}
            {% set name = without_prefix(measure.name) %}
            {% do counts.setdefault(name, []).append(fact) %}
        {% endfor %}
        {% if is_of_host(fact) and fact.depends_on.nodes[0] not in graph.nodes['model.' ~ package_name() ~ '.fct_bricks'].depends_on.nodes %}
            {% do problems.append(problem(fact, "semantic model " ~ fact.name ~ " is governed, and the setting facts does not name its model", "Add \"ref('" ~ fact.refs[0].name ~ "')\" to facts.")) %}
        {% endif %}
    {% endfor %}
    {% for name, facts in counts.items() if facts | length > 1 %}
        {% do problems.append(problem(facts[-1], "brick " ~ name ~ " is a measure of " ~ facts | map(attribute='name') | join(' and of '), "Give one of the measures another name.")) %}
    {% endfor %}
    {{ return(problems) }}
{% endmacro %}

{# Faults of one metric by itself: its formula and its card. #}
{% macro card_problems(metric) %}
    {% set problems = [] %}
    {% set all_bricks = bricks() %}
    {% set card = metric.card %}
    {% set name = "metric " ~ metric.name %}
    {% set missing = [] %}
    {% for key, required in card_keys().items() if required and (card.get(key) is none or card.get(key) | string | trim == '') %}
        {% do missing.append(key) %}
    {% endfor %}
    {% if missing %}
        {% do problems.append(problem(metric, name ~ " has an incomplete card: " ~ missing | join(', ') ~ " missing under config.meta", "Fill it in.")) %}
    {% endif %}
    {% for key in card if key not in card_keys() %}
        {% do problems.append(problem(metric, name ~ " has an unknown card key " ~ key, "Known keys are " ~ card_keys().keys() | join(', ') ~ ".")) %}
    {% endfor %}
    {% for key, values in card_values().items() if card.get(key) and card[key] not in values %}
        {% do problems.append(problem(metric, name ~ " has " ~ key ~ " " ~ card[key] ~ ", which is not one of " ~ values | join(', '), "Choose one.")) %}
    {% endfor %}
    {% if metric.name in all_bricks %}
        {% do problems.append(problem(metric, name ~ " has the name of a brick", "Choose another.")) %}
    {% endif %}
    {% if metric.computed_in and metric.numerator not in all_bricks %}
        {% do problems.append(problem(metric, name ~ " is counted by " ~ metric.numerator ~ ", which is no brick", "Name the brick that counts its units as counted.")) %}
    {% elif not metric.computed_in and not is_brick_formula(metric) %}
        {% do problems.append(problem(metric, name ~ " is neither a brick nor brick / brick: type simple over a measure or ratio of two measures, without filter, offset or fill", "Write it as one, or make a new brick.")) %}
    {% endif %}
    {% if card.get('tasks') is not none and (card.tasks is string or not card.tasks or card.tasks | reject('in', tasks()) | list) %}
        {% do problems.append(problem(metric, name ~ " has tasks " ~ card.tasks ~ ", which is no list of tasks", "List some of " ~ tasks() | join(', ') ~ ".")) %}
    {% endif %}
    {% if card.get('minimum_meaningful_lift') is not none and card.minimum_meaningful_lift is not number %}
        {% do problems.append(problem(metric, name ~ " has minimum_meaningful_lift " ~ card.minimum_meaningful_lift ~ ", which is no number", "Write a number.")) %}
    {% endif %}
    {% if card.get('counted_by') and metric.counted not in all_bricks %}
        {% do problems.append(problem(metric, name ~ " is counted by " ~ card.counted_by ~ ", which is no brick", "Name the brick whose rows are its units.")) %}
    {% endif %}
    {% if card.get('excluded') and metric.excluded not in all_bricks %}
        {% do problems.append(problem(metric, name ~ " excludes " ~ card.excluded ~ ", which is no brick", "Name the brick that counts what is left out.")) %}
    {% elif card.get('pillar') == 'performance' and not card.get('excluded') %}
        {% do problems.append(problem(metric, name ~ " is of pillar performance and must name the brick it leaves out", "Add excluded.")) %}
    {% endif %}
    {{ return(problems) }}
{% endmacro %}

{# Names of other metrics in a card: they exist, and an input or output leads to an outcome. #}
{% macro reference_problems(metric, governed) %}
    {% set problems = [] %}
    {% set card = metric.card %}
    {% set names = governed | map(attribute='name') | list + setting('metrics_off') %}
    {% set outcomes = governed | selectattr('card.io_class', 'defined') | selectattr('card.io_class', 'equalto', 'outcome') | map(attribute='name') | list %}
    {% for key in ['leads_to', 'proxy_for'] if card.get(key) and card[key] not in names %}
        {% do problems.append(problem(metric, "metric " ~ metric.name ~ " has " ~ key ~ " " ~ card[key] ~ ", which is no metric", "Known metrics are " ~ names | sort | join(', ') ~ ".")) %}
    {% endfor %}
    {% if card.get('io_class') in ['input', 'output'] and card.get('leads_to') not in outcomes and (not card.get('leads_to') or card.leads_to in names) %}
        {% do problems.append(problem(metric, "metric " ~ metric.name ~ " is an " ~ card.io_class ~ " that leads to no outcome metric (vanity)", "Name one of " ~ outcomes | join(', ') ~ " as leads_to.")) %}
    {% endif %}
    {{ return(problems) }}
{% endmacro %}

{# A card past its review: a warning, and after the days of grace an error. #}
{% macro review_problems(metric) %}
    {% set review_by = metric.card.get('review_by') | string %}
    {% if metric.card.get('review_by') is none %}
        {{ return([]) }}
    {% elif not is_iso_date(review_by) %}
        {{ return([problem(metric, "metric " ~ metric.name ~ " has review_by " ~ review_by ~ ", which is no date", "Write it as YYYY-MM-DD.")]) }}
    {% endif %}
    {# ISO dates sort as text. #}
    {% set today = ((setting('as_of') or run_started_at.strftime('%Y-%m-%d')) | string)[:10] %}
    {% set grace = modules.datetime.timedelta(days=setting('review_grace_days')) %}
    {% set last_grace = (modules.datetime.datetime.strptime(today, '%Y-%m-%d') - grace).strftime('%Y-%m-%d') %}
    {% if review_by >= today %}
        {{ return([]) }}
    {% endif %}
    {#- whoever installs the package cannot review its cards -#}
    {% set severity = 'error' if review_by < last_grace and (not is_installed() or metric.is_of_host) else 'warning' %}
    {{ return([problem(metric, "metric " ~ metric.name ~ " was due for review by " ~ review_by ~ (", more than " ~ setting('review_grace_days') ~ " days ago" if severity == 'error' else ""), "Have " ~ metric.card.get('approver') ~ " review the card, then set the next review_by.", severity)]) }}
{% endmacro %}

{# Whether a text is a day of the calendar as YYYY-MM-DD. #}
{% macro is_iso_date(text) %}
    {% if not modules.re.match('[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$', text) %}
        {{ return(false) }}
    {% endif %}
    {# Jinja cannot catch the error of a wrong date: counted from the first of its month, the 30th of February becomes a day of March. #}
    {% set day = modules.datetime.date(text[:4] | int, text[5:7] | int, 1) + modules.datetime.timedelta(days=text[8:] | int - 1) %}
    {{ return(day.isoformat() == text) }}
{% endmacro %}

{# Metrics of the same definition under two names. #}
{% macro twin_problems(governed) %}
    {% set problems = [] %}
    {% set first = {} %}
    {% for metric in governed if is_brick_formula(metric) and (not metric.excluded or metric.excluded in bricks()) %}
        {% set hash = definition_hash(metric) %}
        {% if hash in first %}
            {% do problems.append(problem(metric, "metrics " ~ first[hash] ~ " and " ~ metric.name ~ " have the same definition: " ~ formula(metric), "Keep one and give it the other name as a synonym.")) %}
        {% else %}
            {% do first.update({hash: metric.name}) %}
        {% endif %}
    {% endfor %}
    {{ return(problems) }}
{% endmacro %}

{% macro tasks() %}
    {{ return(['binary', 'multiclass', 'regression', 'ranking']) }}
{% endmacro %}

{# What `throughline doctor` reads: the problems, and the rules over seeds as queries of seeds by their bare names. #}
{% macro print_rules(conditions=[]) %}
    {% do remembered().update({'condition_texts': conditions}) %}
    {% set rules = [] %}
    {% for test in ours(graph.nodes) | selectattr('resource_type', 'equalto', 'test') | selectattr('test_metadata') if 'rule' in test.tags %}
        {% set seed = graph.nodes[test.attached_node].name.removeprefix('cfg_') %}
        {% set arguments = {} %}
        {% for name, value in test.test_metadata.kwargs.items() %}
            {% do arguments.update({name: modules.re.sub("^ref\\('(cfg_)?(\\w+)'\\)$", '\\2', value) if value is string else value}) %}
        {% endfor %}
        {% do arguments.update({'model': seed}) %}
        {% do rules.append({'seed': seed, 'column': test.column_name, 'query': context['test_' ~ test.test_metadata.name](**arguments)}) %}
    {% endfor %}
    {{ print('RULES ' ~ tojson({'problems': metric_problems(), 'rules': rules})) }}
{% endmacro %}

{# What an experiment must know of a metric, a row per governed metric; none before dbt has read them all. #}
{% macro metric_unit_types() %}
    {% set rows = [] %}
    {% for metric in (metrics() if execute else []) if metric.computed_in or is_brick_formula(metric) %}
        {% do rows.append({
            'metric': metric.name,
            'unit_types': unit_types(metric) | join(', '),
            'direction': metric.card.get('direction'),
            'is_ratio': metric.denominator is not none,
            'known_after': known_after(metric),
        }) %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}

{# CTE `parts`: each part of a text that is separated by `;`, with its place. No list of the seeds has more than 64. #}
{% macro part_ctes(relation, column) -%}
places as (

    {{ dbt.generate_series(64) }}

),

parts as (

    select
        listed.experiment_id,
        cast(places.generated_number as int) as place,
        trim(split_part(listed.{{ column }}, ';', cast(places.generated_number as int))) as part
    from {{ relation }} as listed
    inner join places on places.generated_number <= length(listed.{{ column }}) - length(replace(listed.{{ column }}, ';', '')) + 1

)
{%- endmacro %}

{% macro card_values() %}
    {{ return({
        'kind': ['leading', 'lagging', 'usage'],
        'io_class': ['input', 'output', 'outcome'],
        'pillar': ['performance', 'experience', 'impact', 'efficiency', 'risk'],
        'tier': ['core', 'module'],
        'direction': ['up', 'down', 'zero'],
    }) }}
{% endmacro %}

{% macro stop(message) %}
    {{ exceptions.raise_compiler_error(message) }}
{% endmacro %}

{# dbt's own without its write: the path of a seed outside the project leads out of the target folder, perhaps onto another's file. #}
{% macro noop_statement(name=none, message=none, code=none, rows_affected=none, res=none) %}
    {% set sql = caller() %}
    {{ store_raw_result(name, message=message, code=code, rows_affected=rows_affected, agate_table=res) }}
{% endmacro %}
