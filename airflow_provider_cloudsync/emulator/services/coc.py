"""Cloud Operations Center: the accounts at other cloud vendors, and the synchronization of their resources.

It is a global service: no project is in its paths, and a signed request says in a header for whom it is.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import uuid4

from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.service import Operation, Service
from airflow_provider_cloudsync.emulator.services.coc_account import DATE_FORMATS, VENDORS, VendorAccount

BAD_PARAMETER = "COC.00010002"
NO_SCOPE = "COC.00010014"
#: The other vendors' resources can be synchronized, but not counted.
COUNTED_VENDORS = ("AWS", "AZURE", "ALI", "HCS")
LONGEST_ACCOUNT_ID = 64


class Coc(Service):
    """Vendor accounts of the account as a whole."""

    name = "coc"
    id_header = "X-request-id"
    default: ClassVar = {
        "accounts": {
            "c0c00000000000000000000000000001": {
                "vendor": "AWS",
                "account_id": "111122223333",
                "account_name": "example-aws",
            },
            "c0c00000000000000000000000000002": {
                "vendor": "AWS",
                "account_id": "444455556666",
                "account_name": "pipeline-aws",
            },
            "c0c00000000000000000000000000003": {
                "vendor": "HCS",
                "account_id": "example-hcs-account",
                "account_name": "example-hcs",
            },
        },
        "resources": {"AWS": {"cloudservers": 3}, "HCS": {"cloudservers": 2}},
    }

    def load(self, section: Reader) -> None:
        """Read the accounts and the numbers of resources."""
        self.date_format = section.text("date_format", "zulu", choices=DATE_FORMATS)
        self.loose = section.flag("loose_filter")
        accounts = [
            VendorAccount(name, reader, self.account, self.clock.started)
            for name, reader in section.entries("accounts").items()
        ]
        self.accounts = sorted(accounts, key=lambda each: each.id)
        self.resources = _counts(section, "resources")
        self.resources_after = _counts(section, "resources_after")

    def state(self) -> dict[str, Any]:
        """The accounts with their synchronizations."""
        now = self.clock.now()
        return {"accounts": {each.id: each.describe(now) for each in self.accounts}}

    def misuse(self, text: str) -> Refused:
        """The parameter error of COC."""
        return _refusal(BAD_PARAMETER, f"Invalid parameter: {text}")

    def _check_scope(self, call: Call) -> None:
        """See that a signed request says for whom it is; a token says so by itself."""
        identity = call.identity
        if identity and (identity.domain_scoped or identity.project_id is not None):
            return
        # The gateway has checked the account's id already. A project is good enough: the SDK's regional
        # credentials send one.
        project = call.headers.get("x-project-id")
        if "x-domain-id" not in call.headers and (
            project is None or call.caller.domain.project(project) is None
        ):
            raise _refusal(NO_SCOPE, "Failed to query the IAM project: X-Domain-Id or X-Project-Id is needed")

    def _present(self, call: Call, now: float) -> list[VendorAccount]:
        """What there is now in the account that the sender acts in."""
        own = call.caller.domain.id
        return [each for each in self.accounts if each.present(now) and each.domain_id == own]

    def _vendor(self, value: Any, known: tuple[str, ...]) -> str:
        if not isinstance(value, str) or value not in known:
            raise self.misuse(f"vendor must be one of {', '.join(known)}")
        return value

    def _account_id(self, value: Any) -> str:
        """The account id asked for; an empty one stands for all."""
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > LONGEST_ACCOUNT_ID:
            raise self.misuse(f"account_id must be a string of 0 to {LONGEST_ACCOUNT_ID} characters")
        return value

    def sync(self, call: Call) -> Reply:
        """Start a synchronization of one account, or of all of the vendor."""
        self._check_scope(call)
        document = self.json_body(call)
        vendor = self._vendor(document.get("vendor"), VENDORS)
        wanted = self._account_id(document.get("account_id"))
        now = self.clock.now()
        task_id = str(uuid4())
        started = [
            each.accept(now, task_id)
            for each in self._present(call, now)
            if each.vendor == vendor and wanted in ("", each.account_id)
        ]
        # Unconfirmed: what happens when there is no such account. A task id all the same is the worst for a
        # caller, to whom the empty list of accounts may look like all of them having succeeded.
        return Reply({"data": task_id}, effect="started" if any(started) else None)

    def list_accounts(self, call: Call) -> Reply:
        """A page of the accounts that match."""
        self._check_scope(call)
        limit = self.whole_query(call, "limit", None, 1, 500)
        offset = self.whole_query(call, "offset", 0, 0, 2**31 - 1)
        now = self.clock.now()
        accounts = self._present(call, now)
        if vendor := call.asked("vendor"):
            self._vendor(vendor, VENDORS)
            accounts = [each for each in accounts if each.vendor == vendor]
        if wanted := self._account_id(call.asked("account_id")):
            accounts = [each for each in accounts if self._matches(each.account_id, wanted)]
        if name := call.asked("account_name"):
            accounts = [each for each in accounts if each.account_name == name]
        total = len(accounts)
        if marker := call.asked("marker"):
            accounts = [each for each in accounts if each.id > marker]
        rows = [each.row(now, self.date_format) for each in accounts[offset : offset + limit]]
        return Reply({"data": rows, "total": total})

    def _matches(self, account_id: str, wanted: str) -> bool:
        # Unconfirmed: whether the filter of the real service is exact.
        return account_id.startswith(wanted) if self.loose else account_id == wanted

    def count(self, call: Call) -> Reply:
        """How many resources of a vendor are known.

        The scenario has no single resources, so the lists of ids, names and regions narrow nothing down.
        """
        self._check_scope(call)
        vendor = self._vendor(call.asked("vendor"), COUNTED_VENDORS)
        now = self.clock.now()
        counts = self.resources.get(vendor, {})
        if any(each.succeeded(now) for each in self.accounts if each.vendor == vendor):
            counts = self.resources_after.get(vendor, counts)
        kind = call.asked("type")
        return Reply({"data": sum(counts.values()) if kind is None else counts.get(kind, 0)})

    operations = (
        Operation("SyncMultiCloudResource", "POST", "/v1/multicloud-resources/sync", sync),
        Operation("CountMultiCloudResources", "GET", "/v1/multicloud-resources/count", count),
        Operation("ListVendorAccount", "GET", "/v1/vendor-account", list_accounts),
    )


def _counts(section: Reader, key: str) -> dict[str, dict[str, int]]:
    counts = {}
    for vendor, reader in section.entries(key).items():
        if vendor not in COUNTED_VENDORS:
            raise BadInput(f"{reader.where}: only those of {', '.join(COUNTED_VENDORS)} can be counted")
        counts[vendor] = {kind: reader.whole(kind) for kind in reader.keys()}
    return counts


def _refusal(code: str, text: str) -> Refused:
    return Refused(Reply({"error_code": code, "error_msg": text}, 400))
