"""An executor as any other, but for what happens to it at the end of the process."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest

from pipeline.engine.flow.daemon_pool import DaemonPool


class Large:
    """Something whose memory matters."""


def test_results_and_exceptions_come_back_and_nothing_is_kept() -> None:
    pool = DaemonPool(2, "test")
    assert [pool.submit(pow, 2, number).result(10) for number in range(5)] == [1, 2, 4, 8, 16]
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(10)
    large = Large()
    gone = weakref.ref(large)
    pool.submit(id, large).result(10)
    del large
    gc.collect()
    pool.shutdown()
    assert gone() is None
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(id, 1)


def test_jobs_not_begun_are_dropped_on_demand_and_done_otherwise() -> None:
    for dropping in (True, False):
        pool, hold, begun, done = DaemonPool(1, "test"), threading.Event(), threading.Event(), []
        first = pool.submit(lambda begun=begun, hold=hold: (begun.set(), hold.wait(10)))
        second = pool.submit(done.append, 1)
        begun.wait(10)
        pool.shutdown(wait=False, cancel_futures=dropping)
        hold.set()
        pool.join()
        assert first.done()
        assert second.cancelled() == dropping
        assert len(done) == (not dropping)


@pytest.mark.integration
def test_a_process_ends_although_a_job_hangs() -> None:
    program = (
        "import threading; from pipeline.engine.flow.daemon_pool import DaemonPool\n"
        "pool = DaemonPool(1, 'test'); pool.submit(threading.Event().wait); pool.shutdown(wait=False); pool.join(0.1)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
