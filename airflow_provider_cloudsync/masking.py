"""Telling Airflow's logs what to leave out: secrets that come in while a flow runs, such as tokens."""

from __future__ import annotations


def conceal(secret: str) -> None:
    """Have Airflow replace it in all that this process logs."""
    from airflow.providers.common.compat.sdk import mask_secret

    mask_secret(secret)


async def aconceal(secret: str) -> None:
    """The same in a triggerer, whose channel to Airflow some versions let nobody use from the loop itself."""
    from asgiref.sync import sync_to_async

    await sync_to_async(conceal)(secret)
