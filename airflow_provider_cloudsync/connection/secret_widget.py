"""The field for a secret in the connection form of Airflow 2."""

from __future__ import annotations

from typing import Any


def secret_widget() -> Any:
    """A widget for a secret in Extra, whose value is not shown and yet not lost when the form is saved.

    A password field comes back empty when a connection is edited, and Airflow 2 takes that for "deleted". It keeps what
    is stored where the field comes back with its placeholder, which its own fields have.
    """
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget

    try:
        from airflow.www.views import SENSITIVE_FIELD_PLACEHOLDER  # type: ignore[import-not-found, unused-ignore]
    except ImportError:  # Airflow 3 does not ask
        return BS3PasswordFieldWidget()
    from markupsafe import Markup

    class SecretWidget(BS3PasswordFieldWidget):  # type: ignore[misc, unused-ignore]
        def __call__(self, field: Any, **arguments: Any) -> Any:
            html = super().__call__(field, **arguments)
            if not field.data:
                return html
            return Markup(str(html).replace('value=""', f'value="{SENSITIVE_FIELD_PLACEHOLDER}"'))  # noqa: S704

    return SecretWidget()
