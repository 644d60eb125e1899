"""The jobs of backups as workflows: an engine makes them survive their process."""

from functools import partial

from keystore.control.due import Due
from keystore.control.engine import Run, WorkflowEngine
from keystore.projects.backups import TAKE_JOB, Backups
from keystore.projects.expiry import EXPIRE_JOB, Expiry
from keystore.projects.plane import ProjectPlane
from keystore.projects.restores import RESTORE_JOB, Restores
from keystore.projects.stored_schedules import SNAPSHOT_JOB

BACKUP_JOBS = (SNAPSHOT_JOB, TAKE_JOB, EXPIRE_JOB, RESTORE_JOB)


def register_backup_jobs(engine: WorkflowEngine, plane: ProjectPlane) -> None:
    """Tell an engine what the kinds of jobs are; their arguments are those of the row that is due."""
    backups, expiry, restores = Backups(plane), Expiry(plane), Restores(plane)
    engine.register(SNAPSHOT_JOB, lambda run, row: _look(backups, run, Due(**row)))
    engine.register(TAKE_JOB, lambda run, row: _take(backups, run, Due(**row)))
    engine.register(EXPIRE_JOB, lambda run, row: _expire(expiry, run, Due(**row)))
    engine.register(RESTORE_JOB, lambda run, row: _restore(restores, run, Due(**row)))


def _look(backups: Backups, run: Run, job: Due) -> None:
    begun = run.step("log", lambda: backups.switch_log(job))
    run.step("look", lambda: backups.look(job, begun, run.guard))


def _take(backups: Backups, run: Run, job: Due) -> None:
    if run.step("begin", lambda: backups.begin_take(job, run.guard)):
        told = run.step("take", lambda: backups.take(job))
        run.step("record", lambda: backups.record_take(job, told, run.guard))


def _expire(expiry: Expiry, run: Run, job: Due) -> None:
    if run.step("begin", lambda: expiry.begin(job, run.guard)):
        gone = run.step("delete", lambda: expiry.delete_bytes(job))
        run.step("conclude", lambda: expiry.conclude(job, gone, run.guard))


def _restore(restores: Restores, run: Run, job: Due) -> None:
    """Restore into one member after the other, each a step; stop where one fails, and write that down."""
    for number, member in enumerate(run.step("begin", lambda: restores.begin(job, run.guard))):
        problem = run.step(f"restore {number}", partial(restores.restore_member, job, member, run.guard))
        if problem:
            run.step("pause", partial(restores.pause, job, problem, run.guard))
            return
    run.step("conclude", lambda: restores.conclude(job, run.guard))
