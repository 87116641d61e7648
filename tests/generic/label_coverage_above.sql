{% test label_coverage_above(model, minimum, label, is_due='1 = 1', by=[]) %}
{# The share of rows with a label, of those that are due to have one, where it is not above `minimum`: over all rows, or for each value
   of the columns `by`. `label` is a column, or an expression that is NULL without a label. No due rows say nothing. #}
with counted as (

    select
        {%- for column in by %}
        {{ column }},
        {%- endfor %}
        count(*) as due_count,
        count({{ label }}) as labelled_count
    from {{ model }}
    where {{ is_due }}
    {%- if by %}
    group by {{ by | join(', ') }}
    {%- endif %}

)

select
    *,
    {{ safe_ratio('labelled_count', 'due_count') }} as label_coverage
from counted
where {{ safe_ratio('labelled_count', 'due_count') }} <= {{ minimum }}
{% endtest %}
