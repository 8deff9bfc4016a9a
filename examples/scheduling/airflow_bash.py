"""Airflow: build with dbt, then train, score and deliver one model; BashOperator alone."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    "fed_audience",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own zone
    schedule="30 2 * * *",
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=15)},
) as dag:
    dbt_build = BashOperator(task_id="dbt_build", bash_command="dbt build", cwd="/srv/brand")
    declared = BashOperator(
        task_id="declared", bash_command="fed-audience docs --check", cwd="/srv/brand"
    )
    run = BashOperator(
        task_id="run",
        bash_command="fed-audience run -s repurchase --skip-build --timeout 7200",
        cwd="/srv/brand",
        retries=1,
    )
    dbt_build >> declared >> run
