{# One line per raw table at the end of a run that looked at them: what came in, what was kept, and what is wrong. #}
{% macro say_input_health() %}
    {% if execute and flags.WHICH in ['run', 'build'] and not without_rows() and 'input_health' not in setting('checks_off') and 'model.' ~ package_name() ~ '.fct_input_checks' in selected_resources %}
        {% set node = graph.nodes['model.' ~ package_name() ~ '.fct_input_checks'] %}
        {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% set rows = rows_of("select table_name, check_name, detail, model_id, affected_count, checked_count, status, example, fix from " ~ relation ~ " order by table_name, check_name, affected_count desc, detail") if relation else [] %}
        {% for table in setting('inputs') %}
            {% set counts = {} %}
            {% set said = [] %}
            {% set reasons = {} %}
            {% for row in rows if row[0] == table %}
                {% do counts.update({row[1]: row[4]}) if row[2] == '' %}
                {% do reasons.update({row[2]: reasons.get(row[2], 0) + row[4]}) if row[1] == 'rejected_rows' and row[2] %}
                {% if row[6] in ['warn', 'stop'] %}
                    {% do said.append(row[6] ~ ' ' ~ row[1] ~ (' of ' ~ row[3] if row[3] not in ['(all)', '(none)'] else '') ~ (', ' ~ row[2] if row[2] else '') ~ ': ' ~ '{:,}'.format(row[4] | int) ~ ' of ' ~ '{:,}'.format(row[5] | int) ~ (', e.g. ' ~ row[7] if row[7] else '') ~ '. ' ~ row[8]) %}
                {% endif %}
            {% endfor %}
            {% if counts %}
                {{ log('input ' ~ table ~ ' ' ~ '{:,}'.format(counts.get('delivered_rows', 0) | int) ~ ' delivered, ' ~ '{:,}'.format(counts.get('kept_rows', 0) | int) ~ ' kept' ~ (', ' ~ '{:,}'.format(counts.get('rejected_rows', 0) | int) ~ ' rejected (' ~ (reasons | dictsort(by='value', reverse=true))[0][0] ~ (' and other reasons' if reasons | length > 1 else '') ~ ')' if reasons else '') ~ (', ' ~ '{:,}'.format(counts.get('invisible_rows') | int) ~ ' not yet visible at as_of' if counts.get('invisible_rows') else ''), info=true) }}
                {% for line in said %}
                    {{ log('input   ' ~ line, info=true) }}
                {% endfor %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
