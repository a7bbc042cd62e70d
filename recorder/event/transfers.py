"""What the venue tells one account about money that comes and goes.

Responsible for the types of deposits and withdrawals; `recorder.event` states the conventions.
Refuses floats: these numbers are money, always Decimal.

Fields are those of the OKX API docs, "Funding Account" as of 2026-07. A main account is told of
its sub-accounts too: `uid` is who listens, `owner_uid` whose money it is.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from recorder.event.root import Event


class DepositUpdate(Event, frozen=True, gc=False):
    """A deposit after a change; `ts_event` is when the venue pushed it.

    Attributes:
        amount: in `currency`; chain: e.g. `USDT-TRC20`.
        state: `0` waits for confirmation, `1` credited, `2` successful, `8` on hold, …
        sender, sender_area_code: internal transfers only; address: where it arrives.
        transaction_id: on the chain; withdrawal_id: of an internal transfer's sender.
        confirmations: by the chain so far; create_time: of the deposit, ns.
    """

    ts_event: int | None
    deposit_id: str
    currency: str
    chain: str | None
    amount: Decimal | None
    state: str
    sender: str | None
    sender_area_code: str | None
    address: str | None
    transaction_id: str | None
    withdrawal_id: str | None
    confirmations: int | None
    sub_account: str | None
    owner_uid: str | None
    create_time: int | None
    uid: str | None


class WithdrawalUpdate(Event, frozen=True, gc=False):
    """A withdrawal after a change; `ts_event` is when the venue pushed it.

    Attributes:
        amount: in `currency`; fee: in `fee_currency`; chain: e.g. `USDT-TRC20`.
        state: `0` waiting, `1` broadcast, `2` successful, `-1` failed, `-2` canceled, …
        sender, sender_area_code: who withdraws; address, address_area_code: to whom.
        address_type: `1` address, mail, phone or account name, `2` uid.
        tag, payment_id, memo, address_extra: what the chain needs beside the address.
        transaction_id: on the chain, None for internal transfers.
        is_not_tradable: the asset is; create_time: of the request, ns.
    """

    ts_event: int | None
    withdrawal_id: str
    client_id: str | None
    currency: str
    chain: str | None
    amount: Decimal | None
    fee: Decimal | None
    fee_currency: str | None
    state: str
    sender: str | None
    sender_area_code: str | None
    address: str | None
    address_area_code: str | None
    address_type: str | None
    tag: str | None
    payment_id: str | None
    memo: str | None
    address_extra: dict[str, Any] | None
    transaction_id: str | None
    note: str | None
    is_not_tradable: bool | None
    sub_account: str | None
    owner_uid: str | None
    create_time: int | None
    uid: str | None
