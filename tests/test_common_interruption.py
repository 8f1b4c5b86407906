"""Who hears a signal, and when; the handlers of before are there again afterwards."""

import os
import signal
import threading

import pytest

from replica.common.interruption import (
    Interruption,
    held_back,
    interruptible,
    leaving_at_once,
    terminable,
)

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="sends signals"),
    pytest.mark.skipif(
        threading.current_thread() is not threading.main_thread(), reason="needs the main thread"
    ),
]


@pytest.fixture(autouse=True)
def handlers():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread is told of signals")
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(15)]
    during = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == during
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_is_noted_and_delivered_on_leaving():
    def work():
        with Interruption() as interruption:
            assert not interruption.requested
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            assert interruption.requested

    with pytest.raises(KeyboardInterrupt):
        work()


def test_twice_is_at_once():
    reached = []

    def work():
        with Interruption(twice=True):
            for number in (1, 2, 3):
                signal.raise_signal(signal.SIGINT)
                reached.append(number)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == [1]


def test_what_is_answered_is_not_delivered():
    with Interruption(answered=True, twice=True) as interruption:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.raise_signal(signal.SIGINT)
        assert interruption.requested


def test_somebody_elses_handler_is_left_alone_by_who_answers():
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    with Interruption(answered=True) as interruption:
        signal.raise_signal(signal.SIGINT)
        assert not interruption.requested
    assert heard
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert not interruption.requested
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_file_asks_too(tmp_path):
    with Interruption(tmp_path / "stop") as interruption:
        assert not interruption.requested
        (tmp_path / "stop").touch()
        interruption._looked = -1.0
        assert interruption.requested


def test_termination_is_taken_as_an_interrupt():
    with pytest.raises(KeyboardInterrupt), terminable():
        signal.raise_signal(signal.SIGTERM)


def test_interruptible_inside_of_leaving_at_once():
    with leaving_at_once():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(signal.SIGINT)


def test_another_thread_is_left_alone():
    found = []

    def work():
        with Interruption() as one, terminable(), leaving_at_once(), held_back():
            found.append(one.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
