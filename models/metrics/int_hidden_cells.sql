-- One row per counted brick, model, segment, segment value and period of which nothing may be shown.
{%- set keys = ['counted_brick', 'model_id', 'segment_name', 'segment_value'] %}
{%- set counted = counted_bricks() if execute else [{'counted_brick': ''}] %}
{%- set names = counted | map(attribute='counted_brick') | unique | list %}
{%- set cell_set = 'counted_brick, model_id, segment_name, period, period_end_date' %}
with brick_days as (

    select * from {{ ref('fct_bricks') }}
    where segment_name <> 'all' and metric_date < {{ as_of_date() }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

daily as (

    select
        brick as counted_brick,
        model_id,
        segment_name,
        segment_value,
        metric_date,
        sum(unit_count) as unit_count
    from brick_days
    where brick in ('{{ names | join("', '") }}')
    group by brick, model_id, segment_name, segment_value, metric_date

),

first_days as (

    select
        model_id,
        min(first_date) as first_date
    from model_metrics
    group by model_id

),

cells as (

    select distinct
        model_id,
        segment_name,
        segment_value
    from brick_days

),

counted_bricks as (

    select distinct
        counted_brick,
        segment_name
    from daily

),

series as (

    select
        counted_bricks.counted_brick,
        cells.model_id,
        cells.segment_name,
        cells.segment_value,
        first_days.first_date,
        spans.judged_through,
        false as is_total
    from cells
    inner join counted_bricks on cells.segment_name = counted_bricks.segment_name
    inner join first_days on cells.model_id = first_days.model_id
    inner join spans on cells.model_id = spans.model_id

),

{{ period_ctes(keys, ['unit_count']) }},

ranked as (

    {{ ranked_cells('periods', cell_set, 'segment_value') }}

),

hidden_cells as (

    select
        counted_brick,
        model_id,
        segment_name,
        segment_value,
        period,
        period_end_date
    from ranked
    where
        {{ is_hidden_cell() }}

)

select * from hidden_cells
