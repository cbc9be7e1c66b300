"""Connection form of Airflow before 3.2, which asks the hook for its widgets."""

from __future__ import annotations

from typing import Any

from airflow_provider_cloudsync.connection.fields import HIDDEN, PLACEHOLDERS, RELABELING, TABLE


def field_behaviour() -> dict[str, Any]:
    """Return the names, hints and visibility of Airflow's own fields."""
    return {
        "hidden_fields": list(HIDDEN),
        "relabeling": dict(RELABELING),
        "placeholders": dict(PLACEHOLDERS),
    }


def widgets() -> dict[str, Any]:
    """Return a form field for each field of Extra. This form has no objects: they are typed as JSON."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, PasswordField, StringField

    found: dict[str, Any] = {}
    for name, field in TABLE.items():
        label, hint = lazy_gettext(field.label), field.description
        if field.kind == "flag":
            found[name] = BooleanField(label, description=hint)
        elif field.secret:
            found[name] = PasswordField(label, widget=_secret_widget(), description=hint)
        else:
            found[name] = StringField(label, widget=BS3TextFieldWidget(), description=hint)
    return found


def _secret_widget() -> Any:
    """Return a widget for a secret in Extra, whose value is not shown and yet not lost when the form is saved.

    A password field comes back empty when a connection is edited, and Airflow 2 takes an empty value for "deleted". It
    keeps the stored value if the field comes back with the placeholder of Airflow's own fields.
    """
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget

    try:
        from airflow.www.views import SENSITIVE_FIELD_PLACEHOLDER  # type: ignore[import-not-found, unused-ignore]
    except ImportError:  # Airflow 3 does not use this form
        return BS3PasswordFieldWidget()
    from markupsafe import Markup

    class SecretWidget(BS3PasswordFieldWidget):  # type: ignore[misc, unused-ignore]
        def __call__(self, field: Any, **arguments: Any) -> Any:
            html = super().__call__(field, **arguments)
            if not field.data:
                return html
            return Markup(str(html).replace('value=""', f'value="{SENSITIVE_FIELD_PLACEHOLDER}"'))  # noqa: S704

    return SecretWidget()
