"""An Airflow connection, read into what the calls to the cloud need."""
