"""The Celery tasks: one task for each kind of job, and a few others. They are idempotent.

Imports are inside the functions: this module is read before Django is set up, and it must not import torch
into the parent of the worker processes.
"""

import logging

from celery.signals import worker_init, worker_ready, worker_shutting_down

from mekiki.config.celery import app
from mekiki.jobs.kinds import Kind
from workers import holder


def run(job_id: str) -> str:
    """Run the stage of a job: workers.stages.<kind>. Return the job's outcome."""
    from workers.runner import run_job

    return run_job(job_id)


for kind in Kind:
    app.task(name=f"workers.tasks.{kind}")(run)


@app.task(name="workers.tasks.help_encode")
def help_encode(job_id: str, encoder_id: int) -> int:
    """Compute embeddings by this encoder for a job of another worker, if help is still needed."""
    from workers.stages.encode import help_with

    return help_with(job_id, encoder_id)


@app.task(name="workers.tasks.embed_text")
def embed_text(text_id: int) -> str:
    """Compute the vector of a search text."""
    from workers.steps.texts import embed_search_text

    return embed_search_text(text_id)


@app.task(name="workers.tasks.embed_prompts")
def embed_prompts(encoder_id: int, prompt_ids: list[int]) -> str:
    """Compute the vectors of single prompts, which explain a prediction."""
    from workers.steps.explaining import embed_single_prompts

    return embed_single_prompts(encoder_id, prompt_ids)


@app.task(name="workers.tasks.draw_heat_map")
def draw_heat_map(heat_map_id: int) -> str:
    """Compute which parts of an image a head reacted to."""
    from workers.steps.explaining import draw_requested_heat_map

    return draw_requested_heat_map(heat_map_id)


@app.task(name="workers.tasks.try_prompts")
def try_prompts(trial_id: int) -> str:
    """Compute what a draft of prompts would change."""
    from workers.steps.prompt_trial import try_requested_prompts

    return try_requested_prompts(trial_id)


@app.task(name="workers.tasks.prepare_encoder")
def prepare_encoder(encoder_id: int) -> str:
    """Load an encoder in the search worker, so that a heat map that may be asked for does not wait."""
    from workers.steps.explaining import load_in_advance

    return load_in_advance(encoder_id)


@worker_init.connect
def assign_worker_name(**_details: object) -> None:
    """Set the name of this worker, which its forked processes inherit and which its jobs store."""
    holder.assign_worker_name()


@worker_shutting_down.connect
def announce_planned_stop(**_details: object) -> None:
    """Announce the planned stop of this worker, so that its jobs do not count it as a death."""
    holder.announce_stop()


@worker_ready.connect
def store_machine(**_details: object) -> None:
    """Store the machine of this worker, for the recommendation of encoders on pages."""
    from django.db import connection

    from workers.steps.machine import report_machine

    try:
        report_machine()
    except Exception:  # the database may start later; loading an encoder stores it again
        logging.getLogger(__name__).warning("What machine this is could not be stored.", exc_info=True)
    finally:
        connection.close()  # the parent of worker processes keeps no connection


@app.task(name="workers.tasks.scheduled_training")
def scheduled_training(dataset_id: int) -> str:
    """Request a training run, for messages of an older schedule.

    The current schedule requests runs itself (mekiki.learning.beat).
    """
    from mekiki.learning.services import request_scheduled_training

    return request_scheduled_training(dataset_id=dataset_id)
