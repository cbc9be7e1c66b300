"""Telling Airflow's logs what to leave out: secrets that come in while a flow runs, such as tokens."""

from __future__ import annotations

#: A token is as long as a letter, and the masker keeps all that it is told in one expression, for as long as the
#: process lives: with whole tokens, after some weeks each new one would stop a triggerer for seconds. The end of a
#: token is its signature; what is left without it opens nothing.
_LONG, _END = 128, 64


def mask_secret(secret: str) -> None:
    """Have Airflow replace it in all that this process logs; of a long token, the end."""
    from airflow.providers.common.compat.sdk import mask_secret

    mask_secret(secret[-_END:] if len(secret) > _LONG else secret)


async def amask_secret(secret: str) -> None:
    """The same in a triggerer, whose channel to Airflow some versions let nobody use from the loop itself."""
    from asgiref.sync import sync_to_async

    await sync_to_async(mask_secret)(secret)
