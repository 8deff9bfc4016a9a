"""Dagster: scores of a federated model as an asset, after the dbt assets that queue it."""

import subprocess
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

BRAND = Path("/srv/brand")
project = DbtProject(project_dir=BRAND)


@dbt_assets(manifest=project.manifest_path)
def brand_tables(context: dg.AssetExecutionContext, dbt: DbtCliResource):  # noqa: ANN201 - Dagster's own
    """All models of the brand's dbt project."""
    yield from dbt.cli(["build"], context=context).stream()


@dg.asset(deps=[brand_tables], retry_policy=dg.RetryPolicy(max_retries=2, delay=900))
def repurchase_scores(context: dg.AssetExecutionContext) -> None:
    """Train with the partners and score at home; unchanged rows train nothing."""
    command = "fed-audience agent --once --timeout 7200 --json-logs --config federation.yml"
    done = subprocess.run(command.split(), cwd=BRAND, check=False)
    context.log.info("the agent ended with exit code %s", done.returncode)
    done.check_returncode()


defs = dg.Definitions(
    assets=[brand_tables, repurchase_scores], resources={"dbt": DbtCliResource(project)}
)
