"""Airflow with Cosmos: dbt models as tasks, one agent between those that train and that score."""

from datetime import datetime
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig, RenderConfig

BRAND = Path("/srv/brand")
PROFILE = ProfileConfig(
    profile_name="brand", target_name="prod", profiles_yml_filepath=BRAND / "profiles.yml"
)

with DAG(
    "fed_audience_cosmos",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own zone
    schedule="@daily",
    catchup=False,
) as dag:
    prepare = DbtTaskGroup(
        group_id="prepare",
        project_config=ProjectConfig(BRAND),
        profile_config=PROFILE,
        render_config=RenderConfig(selector="fed_train"),
    )
    agent = BashOperator(
        task_id="agent",
        bash_command="fed-audience agent --once --timeout 7200 --config federation.yml",
        cwd=str(BRAND),
    )
    score = DbtTaskGroup(
        group_id="score",
        project_config=ProjectConfig(BRAND),
        profile_config=PROFILE,
        render_config=RenderConfig(selector="fed_score"),
    )
    prepare >> agent >> score
