"""Reading of an Airflow connection: fields, credentials, and what calls to the cloud need."""
