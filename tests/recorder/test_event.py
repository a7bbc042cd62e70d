"""Event: the closed union, its JSON and its view names."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from recorder import event as vocabulary
from recorder.event import EVENT_TYPES, VIEW_NAMES, Event, Level, Trade, encode_event


def test_the_union_is_closed_and_complete() -> None:
    defined = [
        value
        for value in vars(vocabulary).values()
        if isinstance(value, type) and issubclass(value, Event) and value is not Event
    ]
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES))
    assert set(defined) == set(EVENT_TYPES) == set(Event.__subclasses__())
    assert {kind.__name__ for kind in EVENT_TYPES} <= set(vocabulary.__all__)
    assert list(VIEW_NAMES) == list(EVENT_TYPES)
    assert len(set(VIEW_NAMES.values())) == len(VIEW_NAMES)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_event_begins_alike_and_cannot_be_changed(type_: type[Event]) -> None:
    assert type_.__struct_fields__[:3] == ("seq", "index", "ts_recv")
    assert type_.__struct_config__.frozen
    assert type_.__struct_config__.tag == type_.__name__
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", VIEW_NAMES[type_])
    assert type_.__doc__


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_events_stay_out_of_the_garbage_collector(type_: type[Event]) -> None:
    """They are frozen and hold decoded JSON at most, so none can be part of a cycle."""
    assert not type_.__struct_config__.gc


def trade(**changes: Any) -> Trade:
    fields: dict[str, Any] = {
        "seq": 1, "index": 0, "ts_recv": 2, "ts_event": None, "instrument": "E",
        "channel": "trades", "trade_id": "7", "price": 0.1, "size": 1e-8, "side": "buy",
    }  # fmt: skip
    return Trade(**{**fields, **changes})


def test_json_names_the_type_first_and_floats_are_shortest() -> None:
    assert encode_event(trade()) == (
        b'{"type":"Trade","seq":1,"index":0,"ts_recv":2,"ts_event":null,"instrument":"E",'
        b'"channel":"trades","trade_id":"7","price":0.1,"size":1e-8,"side":"buy","count":1,'
        b'"source":null,"venue_seq":null,"subscribed_as":null}'
    )


def test_decimals_are_strings_in_json() -> None:
    decoded = msgspec.json.decode(encode_event(trade(price=Decimal("0.10"))))
    assert decoded["price"] == "0.10"


def test_a_level_has_the_shape_of_the_wire() -> None:
    row = b'["2.40","31.5","0","6"]'
    assert msgspec.json.decode(row, type=Level[float], strict=False) == Level(2.4, 31.5, 0.0, 6)
    assert msgspec.json.encode(Level(2.4, 31.5, 0.0, 6)) == b"[2.4,31.5,0.0,6]"
    assert msgspec.json.decode(b'["1","2"]', type=Level[str]) == Level("1", "2")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'["1","2","0","99999999999999999999"]', type=Level[str], strict=False)
