"""The Celery tasks: thin. Each takes one id; a message that comes twice finds nothing to do the second time.

Imports are inside: this module is read before Django is set up, and must not bring torch into the parent of
the worker processes.
"""

import logging

from celery.signals import worker_init, worker_ready, worker_shutting_down

from mekiki.config.celery import app
from workers import holder


def _run(job_id: str) -> str:
    from workers.runner import run_job

    return run_job(job_id)


@app.task(name="workers.tasks.import_images")
def import_images(job_id: str) -> str:
    """Store the files of an import."""
    return _run(job_id)


@app.task(name="workers.tasks.encode")
def encode(job_id: str) -> str:
    """Compute the embeddings that are missing."""
    return _run(job_id)


@app.task(name="workers.tasks.help_encode")
def help_encode(job_id: str, encoder_id: int) -> int:
    """Compute embeddings by this encoder for a job that another worker leads, if that is still wanted."""
    from workers.stages.encode import help_with

    return help_with(job_id, encoder_id)


@app.task(name="workers.tasks.predict")
def predict(job_id: str) -> str:
    """Predict by the prompts, or by the head in use where predictions are missing."""
    return _run(job_id)


@app.task(name="workers.tasks.train")
def train(job_id: str) -> str:
    """Train a head on the confirmed labels."""
    return _run(job_id)


@app.task(name="workers.tasks.refill")
def refill(job_id: str) -> str:
    """Choose the next images to ask people about."""
    return _run(job_id)


@app.task(name="workers.tasks.freeze")
def freeze(job_id: str) -> str:
    """Write a label set."""
    return _run(job_id)


@app.task(name="workers.tasks.change_encoder")
def change_encoder(job_id: str) -> str:
    """Prepare another encoder, switch over to it, or take that back."""
    return _run(job_id)


@app.task(name="workers.tasks.remove_embeddings")
def remove_embeddings(job_id: str) -> str:
    """Delete the embeddings of an encoder that is not in use."""
    return _run(job_id)


@app.task(name="workers.tasks.index")
def index(job_id: str) -> str:
    """Build an encoder's search index."""
    return _run(job_id)


@app.task(name="workers.tasks.verify_head")
def verify_head(job_id: str) -> str:
    """Train a head again from its own inputs and compare."""
    return _run(job_id)


@app.task(name="workers.tasks.rebuild_pictures")
def rebuild_pictures(job_id: str) -> str:
    """Make display pictures again, by the pixel windows of now, and ask for their embeddings."""
    return _run(job_id)


@app.task(name="workers.tasks.seal")
def seal(job_id: str) -> str:
    """Seal the events and decisions that came since the last seal."""
    return _run(job_id)


@app.task(name="workers.tasks.check_seals")
def check_seals(job_id: str) -> str:
    """Check every sealed row against its seal."""
    return _run(job_id)


@app.task(name="workers.tasks.embed_text")
def embed_text(text_id: int) -> str:
    """Turn a text somebody searches for into its vector."""
    from workers.steps.texts import answer

    return answer(text_id)


@worker_init.connect
def take_a_name(**_details: object) -> None:
    """Jobs name the worker that has them; processes that it forks have its name."""
    holder.take_name()


@worker_shutting_down.connect
def put_jobs_back(**_details: object) -> None:
    """A worker that is asked to stop gives up its jobs in order: none of them counts this as a death."""
    holder.announce_stop()


@worker_ready.connect
def say_what_machine_this_is(**_details: object) -> None:
    """Pages recommend encoders by the machines that workers run on."""
    from django.db import connection

    from workers.steps.machine import report_machine

    try:
        report_machine()
    except Exception:  # the database may come up later; loading an encoder tells it again
        logging.getLogger(__name__).warning("What machine this is could not be stored.", exc_info=True)
    finally:
        connection.close()  # the parent of worker processes keeps none


@app.task(name="workers.tasks.scheduled_training")
def scheduled_training(dataset_id: int) -> str:
    """Ask for a training run: for messages of an older schedule. Today's asks by itself (mekiki.learning.beat)."""
    from mekiki.learning.services import request_scheduled_training

    return request_scheduled_training(dataset_id=dataset_id)
