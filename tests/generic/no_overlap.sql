{% test no_overlap(model, columns) %}
{# Pairs of rows of the same key that hold on the same day. #}
select
    earlier.valid_from,
    later.valid_from as next_valid_from
    {%- for column in columns %},
    earlier.{{ column }}
    {%- endfor %}
from {{ model }} as earlier
inner join {{ model }} as later
    on earlier.valid_from < later.valid_from
    and (earlier.valid_to is null or later.valid_from < earlier.valid_to)
    {%- for column in columns %}
    and earlier.{{ column }} = later.{{ column }}
    {%- endfor %}
{% endtest %}
