"""What a project that installs us gets of us before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import hosts
import parity
from engines import ROOT
from hosts import Host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return hosts.install(tmp_path_factory.mktemp("installed") / "shop")


def test_our_relations_are_made_from_the_models_of_the_host(host: Host) -> None:
    host.dbt("parse")
    parents = host.manifest["parent_map"]
    read = "model.throughline.chk_prediction_logs"
    assert "model.shop.model_scores" in parents[read]
    assert "model.shop.bookings" in parents["model.throughline.chk_business_outcomes"]
    assert "source.shop.platform.invoices" in parents["model.throughline.chk_serving_costs"]
    assert parents["model.throughline.cfg_model_registry"] == ["seed.shop.ml_models"]
    assert "model.shop.fct_orders" in parents["model.throughline.fct_bricks"]
    # what the host has a relation of the same name of
    reads_dates = [name for name, above in parents.items() if "model.shop.dim_dates" in above]
    assert {name.split(".")[1] for name in reads_dates} == {"shop"}
    schemas = {
        node["schema"]
        for node in host.manifest["nodes"].values()
        if node["package_name"] == "throughline" and node["resource_type"] == "model"
    }
    assert schemas == {f"{hosts.OURS}_{layer}" for layer in parity.LAYERS}


def test_dbt_says_nothing_against_our_yaml(host: Host) -> None:
    said = host.dbt("--no-partial-parse", "parse")
    warned = [line for line in said.splitlines() if "WARNING" in line]
    # the shop has a time spine of its own
    assert len(warned) == 1, said
    assert "time spine" in warned[0]


def test_our_unit_tests_and_seeds_stay_at_home(host: Host) -> None:
    host.dbt("parse")
    kinds = {node["resource_type"] for node in host.manifest["nodes"].values() if is_ours(node)}
    assert kinds == {"model", "test", "analysis", "operation"}
    assert host.manifest["unit_tests"] == {}


def is_ours(node: dict[str, str]) -> bool:
    return node["package_name"] == "throughline"


def test_a_governed_metric_of_the_same_name_is_named(tmp_path: Path) -> None:
    """As the README has it."""
    host = hosts.install(tmp_path / "shop")
    metrics = host.folder / "models/marts/fct_orders.yml"
    metrics.write_text(metrics.read_text().replace("- name: revenue", "- name: precision"))
    done = host.run("parse")
    told = (
        "Can't use name `precision` for a SemanticManifestNodeType.METRIC when it was already used"
    )
    assert done.returncode != 0
    assert told in done.stdout
    assert told in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_a_relation_of_the_host_that_would_stand_for_ours_is_named(tmp_path: Path) -> None:
    host = hosts.install(tmp_path / "shop")
    project = host.folder / "dbt_project.yml"
    flag = "require_ref_searches_node_package_before_root: true"
    project.write_text(project.read_text().replace(flag, flag.replace("true", "false")))
    done = host.run("run", "--select", "cfg_model_registry")
    assert done.returncode != 0
    assert "models/marts/dim_dates.sql in the place of our dim_dates. Set the flag" in done.stdout


def test_a_host_that_leaves_us_out_of_dispatch_is_told(tmp_path: Path) -> None:
    host = hosts.install(tmp_path / "shop")
    project = host.folder / "dbt_project.yml"
    order = "search_order: [shop, throughline, dbt]"
    project.write_text(project.read_text().replace(order, "search_order: [shop, dbt]"))
    done = host.run("run", "--select", "cfg_model_registry")
    assert done.returncode != 0
    assert f"{{macro_namespace: dbt, {order}}}" in done.stdout


def test_a_governed_table_that_we_do_not_have_is_named(tmp_path: Path) -> None:
    host = hosts.install(tmp_path / "shop")
    project = host.folder / "dbt_project.yml"
    project.write_text(project.read_text().replace("metric_targets:", "metric_target:"))
    done = host.run("run", "--select", "cfg_model_registry")
    assert done.returncode != 0
    assert "setting governed names metric_target, which is no governed table" in done.stdout


def test_a_profile_of_our_name_is_named(tmp_path: Path) -> None:
    """By it alone dbt_project.yml knows a host, whose schemas get a prefix."""
    nothing_chosen = {"THROUGHLINE_WORKSPACE": "workspace", "THROUGHLINE_VARS": "{}"}
    host = hosts.install(tmp_path / "shop", nothing_chosen)
    for name, found in (("dbt_project.yml", "profile: shop"), ("profiles.yml", "shop:")):
        file = host.folder / name
        file.write_text(file.read_text().replace(found, found.replace("shop", "throughline"), 1))
    done = host.run("run", "--select", "cfg_unit_values")
    assert done.returncode != 0
    assert "the profile of this project is called throughline" in done.stdout


def test_a_session_outside_utc_is_named(tmp_path: Path) -> None:
    host = hosts.install(tmp_path / "shop")
    profile = host.folder / "profiles.yml"
    profile.write_text(profile.read_text().replace("TimeZone: UTC", "TimeZone: Europe/Zurich"))
    done = host.run("run", "--select", "cfg_model_registry")
    assert done.returncode != 0
    assert "the time zone of the session is Europe/Zurich" in done.stdout
    # whoever knows better leaves the check out
    done = host.run("run", "--select", "cfg_unit_values", variables={"checks_off": ["workspace"]})
    assert done.returncode == 0, done.stdout


def test_cards_of_ours_that_are_past_their_review_warn_and_those_of_the_host_stop(
    host: Host,
) -> None:
    later = {"as_of": "2028-06-01 00:00:00"}
    done = host.run("run", "--select", "cfg_unit_values", variables=later)
    assert done.returncode != 0
    assert "metric order_value was due for review by 2027-03-31, more than 90" in done.stdout
    said = [line for line in done.stdout.splitlines() if "Compilation Error" in line]
    assert "metric recall" not in " ".join(said)
    metrics = host.folder / "models/marts/fct_orders.yml"
    metrics.write_text(metrics.read_text().replace("2027-03-31", "2099-03-31"))
    said_again = host.dbt("run", "--select", "cfg_unit_values", variables=later)
    assert "metric conversion_rate was due for review by" in said_again


def test_a_governed_fact_that_is_not_named_is_told(tmp_path: Path) -> None:
    host = hosts.install(tmp_path / "shop")
    project = host.folder / "dbt_project.yml"
    named = """facts: ["ref('fct_orders')"]"""
    project.write_text(project.read_text().replace(named, "facts: []"))
    done = host.run("run", "--select", "cfg_unit_values")
    assert done.returncode != 0
    assert "semantic model orders is governed, and the setting facts does not" in done.stdout
