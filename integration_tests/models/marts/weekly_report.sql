-- One row per governed metric of the shop's weekly report, read from Throughline.
select
    metric,
    model_id,
    value
from {{ ref('throughline', 'mart_scorecard') }}
