"""Customer cohorts of the demo against plain pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import plain_pandas
from building import ROOT, query


def test_cohorts_equal_plain_pandas(demo: Path) -> None:
    company = plain_pandas.Company(
        raw=plain_pandas.read_raw(demo),
        seeds=ROOT / "seeds",
        as_of="2026-07-01",
        segments=["channel", "device", "region"],
    )
    outcomes = company.outcomes[company.outcomes.status == "final"]
    outcomes = outcomes.assign(
        customer=outcomes.user_id.fillna(outcomes.entity_id),
        month=outcomes.occurred_at.dt.to_period("M"),
    )
    bought = outcomes[(outcomes.kind == "money") & outcomes.customer.notna()]
    bought = bought.sort_values(["occurred_at", "outcome_id"])
    bought = bought.assign(
        cohort=bought.groupby("customer").month.transform("min"),
        place=bought.groupby("customer").cumcount(),
    )
    left = outcomes[(outcomes.kind == "churn") & (outcomes.outcome_label == "true")]
    left_in = left.groupby("customer").month.min()
    found = query(demo, "from mart_customer_cohorts")
    assert len(found) == 10
    bought = bought[bought.month <= pd.Period("2026-06", "M")]
    for row in found.itertuples():
        month, of = pd.Period(row.month_start_date, "M"), pd.Period(row.cohort_month, "M")
        cohort = bought[bought.cohort == of]
        customers = pd.Index(cohort.customer.unique())
        by_then = cohort[cohort.month <= month]
        assert row.customer_count == len(customers)
        assert row.age_months == (month - of).n
        assert row.active_customer_count == cohort[cohort.month == month].customer.nunique()
        assert row.repeat_customer_count == by_then[by_then.place == 1].customer.nunique()
        gone = left_in.reindex(customers).dropna()
        assert row.left_customer_count == (gone <= month).sum()
        assert np.isclose(row.revenue_to_date_amount, by_then.amount.sum(), rtol=1e-9)
        assert np.isclose(row.active_share, row.active_customer_count / len(customers))
        assert row.is_left_censored == (of == bought.cohort.min())
