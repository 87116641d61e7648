{# What `graph` says of bricks and metrics: facts, formulas and cards. #}

{# The semantic models whose measures are bricks: those of this package, and those of a host that say `config.meta.throughline: true`. #}
{% macro semantic_models() %}
    {% set found = ours(graph.semantic_models) %}
    {% for node in graph.semantic_models.values() | sort(attribute='name') if is_of_host(node) and node.config.meta.get('throughline') %}
        {% do found.append(node) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# Whether a node is of the host, or of another package. #}
{% macro is_of_host(node) %}
    {{ return((node.package_name or package_name()) != package_name()) }}
{% endmacro %}

{# The nodes of governed metrics: all of this package but those that the setting metrics_off names, and those of a host that have a card,
   which is known by its io_class. #}
{% macro metric_nodes() %}
    {% set found = [] %}
    {% for node in graph.metrics.values() | sort(attribute='name') if node.name not in setting('metrics_off') %}
        {% do found.append(node) if not is_of_host(node) or node.config.meta.get('io_class') %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The relation of a semantic model. A host's fact is named in the setting facts, since dbt captures refs before it knows semantic models. #}
{% macro fact_relation(semantic_model) %}
    {{ return(ref(semantic_model.package_name or package_name(), semantic_model.refs[0].name)) }}
{% endmacro %}

{# Makes the facts of a host parents of whoever calls it. #}
{% macro read_facts() %}
    {% for fact in setting('facts') %}
        {% do mapped_relation(fact) or stop("setting facts names " ~ fact ~ ", which is no ref('…'). Name the model so.") %}
    {% endfor %}
{% endmacro %}

{# Every brick: a measure of a semantic model. brick -> {fact, expression, semantic_model}. #}
{% macro bricks() %}
    {% if remembered().bricks is not defined %}
        {% do remembered().update({'bricks': read_bricks()}) %}
    {% endif %}
    {{ return(remembered().bricks) }}
{% endmacro %}

{% macro read_bricks() %}
    {% set found = {} %}
    {% for semantic_model in semantic_models() %}
        {% for measure in semantic_model.measures %}
            {% do found.update({without_prefix(measure.name): {
                'measure': measure.name,
                'semantic_model': semantic_model,
                'expression': measure.expr or measure.name,
                'description': measure.description,
                'agg': measure.agg | string,
                'lift': (measure.config.meta if measure.config else none) or {},
                'is_redated': (measure.agg_time_dimension or semantic_model.defaults.agg_time_dimension) != semantic_model.defaults.agg_time_dimension,
                'is_semi_additive': measure.non_additive_dimension is not none,
            }}) %}
        {% endfor %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# What the measures of bricks begin with. All metrics of MetricFlow share one space of names, those of other packages too; a relation
   has a brick by its bare name. #}
{% macro brick_prefix() %}{{ return('brick_') }}{% endmacro %}

{% macro without_prefix(name) %}
    {{ return(name[brick_prefix() | length:] if name and name.startswith(brick_prefix()) else name) }}
{% endmacro %}

{# The bricks of a semantic model by name: [{name, expr}]. #}
{% macro measures_of(semantic_model) %}
    {% set found = [] %}
    {% for measure in semantic_model.measures | sort(attribute='name') %}
        {% do found.append({'name': without_prefix(measure.name), 'expr': measure.expr or measure.name}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The segments of a semantic model that the settings ask for: all, or those it has columns of. #}
{% macro segments_of(semantic_model) %}
    {% set declared = semantic_model.config.meta.get('segments', []) %}
    {% set carried = [] %}
    {% for segment in setting('segments') if declared == 'all' or segment in declared %}
        {% do carried.append(segment) %}
    {% endfor %}
    {{ return(carried) }}
{% endmacro %}

{% macro is_versioned(semantic_model) %}
    {{ return('model_version' in semantic_model.dimensions | map(attribute='name') | list) }}
{% endmacro %}

{# Column behind the time dimension that dates a semantic model's bricks. #}
{% macro date_column(semantic_model) %}
    {% set name = semantic_model.defaults.agg_time_dimension %}
    {% for dimension in semantic_model.dimensions if dimension.name == name %}
        {{ return(dimension.expr or dimension.name) }}
    {% endfor %}
{% endmacro %}

{# Every governed metric: those of `graph` that are not a bare brick, and the shapes, each with its bricks and card. #}
{% macro metrics() %}
    {% if remembered().metrics is not defined %}
        {% do remembered().update({'metrics': read_metrics()}) %}
    {% endif %}
    {{ return(remembered().metrics) }}
{% endmacro %}

{% macro read_metrics() %}
    {% set found = [] %}
    {% set all_bricks = bricks() %}
    {% set measures = all_bricks.values() | map(attribute='measure') | list %}
    {% for node in metric_nodes() if node.name not in measures %}
        {% set ratio = node.type | string == 'ratio' %}
        {% set params = node.type_params %}
        {% do found.append({
            'name': node.name,
            'label': node.label,
            'description': node.description,
            'card': node.config.meta,
            'type': node.type | string,
            'has_modifiers': node.filter is not none or is_modified(params.numerator) or is_modified(params.denominator) or is_modified(params.measure),
            'numerator': without_prefix(params.numerator.name if ratio else (params.measure.name if params.measure else none)),
            'denominator': without_prefix(params.denominator.name) if ratio else none,
            'excluded': without_prefix(node.config.meta.get('excluded')),
            'counted': without_prefix(node.config.meta.get('counted_by')),
            'original_file_path': node.original_file_path,
            'is_of_host': is_of_host(node),
            'computed_in': none,
        }) %}
    {% endfor %}
    {% do found.extend(read_shapes()) %}
    {% for metric in found %}
        {% do metric.update({'once': named_brick(metric.numerator, 'once') or metric.numerator}) %}
        {% set base = metric.denominator or metric.numerator %}
        {% do metric.update({'kept': (named_brick(metric.excluded, 'kept') or base) if metric.excluded else none}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The governed numbers that are no ratio of sums. The model that computes them has their cards under meta.shape_metrics. Their
   numerator is the brick that counts their units. #}
{% macro read_shapes() %}
    {% set found = [] %}
    {% for node in ours(graph.nodes) if node.resource_type == 'model' %}
        {% for name, card in node.config.meta.get('shape_metrics', {}) | dictsort if name not in setting('metrics_off') %}
            {% set kept = {'shape': 'computed'} %}
            {% do kept.update(card) %}
            {% for key in ['label', 'description', 'counted'] %}{% do kept.pop(key, none) %}{% endfor %}
            {% do found.append({
                'name': name,
                'label': card.label,
                'description': card.description,
                'card': kept,
                'type': 'shape',
                'has_modifiers': false,
                'numerator': without_prefix(card.counted),
                'denominator': none,
                'excluded': without_prefix(card.get('excluded')),
                'counted': none,
                'original_file_path': (node.patch_path or node.original_file_path).split('://')[-1],
                'computed_in': node.name,
                'checksum': node.checksum.checksum,
            }) %}
        {% endfor %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The brick that another brick names in its meta, or none. `once` is to be summed over several models, since it counts for one of
   them what the brick counts for each. `kept` is what remains beside what the brick leaves out. #}
{% macro named_brick(name, key) %}
    {{ return(without_prefix(bricks()[name].lift.get(key)) if name in bricks() else none) }}
{% endmacro %}

{# True where an input of a metric is more than a name: the waist knows bricks as they are. #}
{% macro is_modified(input) %}
    {% for key in ['filter', 'offset_window', 'offset_to_grain', 'join_to_timespine', 'fill_nulls_with'] if input and input[key] %}
        {{ return(true) }}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}

{# Whether a metric is a brick, or a brick divided by a brick. #}
{% macro is_brick_formula(metric) %}
    {% set all_bricks = bricks() %}
    {{ return(metric.type in ['simple', 'ratio'] and not metric.has_modifiers and metric.numerator in all_bricks
        and (not metric.denominator or metric.denominator in all_bricks)) }}
{% endmacro %}

{# metric and direction of every governed metric; none before dbt has read them all. #}
{% macro metric_directions() %}
    {% set rows = [] %}
    {% for metric in (metrics() if execute else []) %}
        {% do rows.append({'metric': metric.name, 'direction': metric.card.get('direction'), 'follows_label': metric.card.get('follows_label', false)}) %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}

{# metric and task, a row for each task that a core metric is read for; none before dbt has read them all. #}
{% macro core_metric_tasks() %}
    {% set rows = [] %}
    {% for metric in (metrics() if execute else []) if metric.card.get('tier') == 'core' %}
        {% for task in metric.card.get('tasks') or [] %}
            {% do rows.append({'metric': metric.name, 'task': task}) %}
        {% endfor %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}

{# The segments and versioning that every brick of a metric's value carries. #}
{% macro shared_segments(metric) %}
    {% set all_bricks = bricks() %}
    {% set names = [metric.numerator, metric.denominator] | reject('none') | list %}
    {% set shared = namespace(segments=setting('segments'), versioned=true) %}
    {% for name in names %}
        {% set carried = segments_of(all_bricks[name].semantic_model) %}
        {% set shared.segments = shared.segments | select('in', carried) | list %}
        {% set shared.versioned = shared.versioned and is_versioned(all_bricks[name].semantic_model) %}
    {% endfor %}
    {{ return({'segments': shared.segments, 'versioned': shared.versioned}) }}
{% endmacro %}

{% macro is_cross_fact(metric) %}
    {% set all_bricks = bricks() %}
    {{ return(metric.denominator is not none
        and all_bricks[metric.numerator].semantic_model.name != all_bricks[metric.denominator].semantic_model.name) }}
{% endmacro %}

{# Formula over the names of the bricks. #}
{% macro formula(metric) %}
    {{ return('computed in ' ~ metric.computed_in if metric.computed_in else metric.numerator ~ (' / ' ~ metric.denominator if metric.denominator else '')) }}
{% endmacro %}

{# The formula once more, with what each brick sums in place of its name. #}
{% macro formula_in_words(metric) %}
    {% if metric.computed_in %}{{ return(metric.description | trim | trim('.')) }}{% endif %}
    {% set all_bricks = bricks() %}
    {% set words = [] %}
    {% for name in [metric.numerator, metric.denominator] | reject('none') %}
        {% do words.append(all_bricks[name].description | trim | trim('.')) %}
    {% endfor %}
    {{ return(words | join(' / ')) }}
{% endmacro %}

{# Changes when the formula, a brick or a brick's expression changes, and with nothing else; of a shape, when its model changes. #}
{% macro definition_hash(metric) %}
    {% set all_bricks = bricks() %}
    {% set parts = [formula(metric)] %}
    {% do parts.append(metric.checksum) if metric.computed_in %}
    {% for name in [metric.numerator, metric.denominator, metric.excluded] | reject('none') %}
        {% do parts.append(name ~ ' = sum(' ~ all_bricks[name].expression | trim ~ ') over ' ~ all_bricks[name].semantic_model.model) %}
    {% endfor %}
    {{ return(local_md5(parts | join('; '))) }}
{% endmacro %}

{# The keys of a metric card and whether every card must have them. #}
{% macro card_keys() %}
    {{ return({
        'kind': true, 'io_class': true, 'leads_to': false, 'pillar': true, 'tier': true, 'tasks': true,
        'unit': true, 'unit_of_count': true, 'direction': true, 'owner': true, 'approver': true,
        'frequency': true, 'rationale': true, 'so_what': true, 'excluded': false, 'counted_by': false, 'proxy_for': false,
        'minimum_meaningful_lift': true, 'review_by': true, 'synonyms': false, 'certified_hash': false,
        'read_where': false, 'follows_label': false, 'is_proportion': false, 'balance_points': false, 'shape': false,
    }) }}
{% endmacro %}

{# dim_metrics as rows of literals: lists become texts separated by a comma. #}
{% macro metric_cards() %}
    {% set rows = [] %}
    {% for metric in metrics() %}
        {% set shared = shared_segments(metric) %}
        {% set row = {
            'metric': metric.name,
            'label': metric.label,
            'description': metric.description,
            'formula': formula(metric),
            'formula_in_words': formula_in_words(metric),
            'numerator_brick': metric.numerator,
            'denominator_brick': metric.denominator,
            'excluded_brick': metric.excluded,
            'segments': shared.segments | join(', '),
            'unit_types': unit_types(metric) | join(', '),
            'known_after': known_after(metric),
            'is_versioned': shared.versioned,
            'is_cross_fact': is_cross_fact(metric),
            'shape': metric.card.get('shape'),
            'is_additive': not metric.card.get('shape'),
            'is_proportion': metric.card.get('is_proportion', false),
            'balance_points': metric.card.get('balance_points') or 0,
            'follows_label': metric.card.get('follows_label', false),
            'definition_hash': definition_hash(metric),
        } %}
        {% for key in card_keys() if key not in ['excluded', 'counted_by', 'is_proportion', 'balance_points', 'follows_label', 'shape'] %}
            {% set value = metric.card.get(key) %}
            {% if value is not none and value is not string and value is not number %}
                {% set value = value | join(', ') if value is iterable else value | string %}
            {% endif %}
            {% do row.update({key: value}) %}
        {% endfor %}
        {% do rows.append(row) %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}

{# Whether rows of two relations are of one pair of metrics. #}
{% macro same_pair(one, other) -%}
    {{ one }}.relation = {{ other }}.relation
        and {{ one }}.model_id = {{ other }}.model_id
        and {{ one }}.metric = {{ other }}.metric
        and {{ one }}.other_metric = {{ other }}.other_metric
{%- endmacro %}
