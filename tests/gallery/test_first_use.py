"""What a first user of the page stumbled over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from viewing import View, looking

from ilk import load_run

CHOICES = "[...document.querySelectorAll('#choices .name')].map((one) => one.textContent)"


@pytest.fixture
def view(chromium: browser.Browser, finished_copy: Path) -> Iterator[View]:
    for view in looking(chromium, finished_copy):
        view.open("/", "#left input")
        view.tab.key("Escape")
        yield view


def test_a_group_without_a_name_is_found_by_what_it_is_called(view: View) -> None:
    view.tab.run("document.querySelector('#grid').focus()")
    view.tab.key("v")
    view.wait("#choices li")
    view.tab.type("group 2")
    assert view.tab.run(CHOICES) == ["group 2"]


def test_a_name_that_another_group_has_is_not_given_again(view: View) -> None:
    load_run(view.run).corrections.rename(1, "shoes")
    view.open("/", "#left input")
    view.tab.key("Escape")
    view.tab.run("document.querySelector('#group-0').dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))")
    view.wait("input.rename")
    view.tab.run("document.querySelector('input.rename').select()")
    view.tab.type("Shoes")
    view.tab.key("Enter")
    view.wait(".toast.bad")
    assert "merge the two" in view.text(".toast .text")
    assert load_run(view.run).corrections.grouping().names[0] == ""


def test_searching_darkens_nothing_on_a_wide_screen(view: View) -> None:
    view.tab.key("/")
    assert view.tab.run("getComputedStyle(document.querySelector('#veil')).display") == "none"
