{% test condition_can_be_read(model, column_name) %}
{# Conditions outside the grammar, and those of a count of faults that ask for what a count does not have. #}
{%- set counted = counts_of_faults() | join("', '") %}
{%- set faults = [] %}
{%- for text in condition_texts() %}
    {%- set condition = parse_condition(text) %}
    {%- set lacking = condition.names | select('in', ['floor', 'target', 'baseline', 'reference_value']) | list %}
    {%- if condition.what %}
        {%- do faults.append({'condition': text, 'what': condition.what, 'fix': condition.fix, 'is_of_counts': false}) %}
    {%- elif lacking %}
        {%- do faults.append({
            'condition': text,
            'what': "condition '" ~ text ~ "' reads " ~ lacking[0] ~ ', which a count of faults does not have',
            'fix': 'Compare it with a number.',
            'is_of_counts': true,
        }) %}
    {%- endif %}
{%- endfor %}
{%- if faults %}
with faults as (

    {{ literal_rows(faults, ['condition', 'what', 'fix', 'is_of_counts']) }}

)

select
    rules.*,
    faults.what,
    faults.fix
from {{ model }} as rules
inner join faults on trim(rules.{{ column_name }}) = faults.condition
where not faults.is_of_counts or rules.metric in ('{{ counted }}')
{%- else %}
select *
from {{ model }}
where 1 = 0
{%- endif %}
{% endtest %}
