{% test grain(model, columns, optional=[]) %}
{# Two rows, or a NULL in a key column, break the grain. Columns named in `optional` may be NULL. #}
select {{ columns | join(', ') }}, count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1 {% for column in columns if column not in optional %}or {{ column }} is null {% endfor %}
{% endtest %}
