"""Logic of the calls to the cloud: no input or output, no clock, no Airflow."""
