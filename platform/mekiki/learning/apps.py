from collections.abc import Callable

from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "mekiki.learning"
    label = "learning"
    verbose_name = "Learning"

    def ready(self) -> None:
        """Register the periodic chores and the count of heads that is shown before a label is archived."""
        from mekiki.jobs.chores import PeriodicTask, register
        from mekiki.labeling import effects

        def count_heads(label_ids: list[int]) -> dict[int, int]:
            from mekiki.learning.selectors import heads_by_label

            return heads_by_label(label_ids)

        def prepare_lost_jobs() -> Callable[[], object]:
            from mekiki.learning.services import record_all_lost_jobs

            return record_all_lost_jobs

        def prepare_search() -> Callable[[], object]:
            from mekiki.learning.search import maintain_search

            return maintain_search

        def prepare_heat_maps() -> Callable[[], object]:
            from mekiki.learning.explaining import delete_unused_heat_maps

            return delete_unused_heat_maps

        def prepare_trials() -> Callable[[], object]:
            from mekiki.learning.prompt_trials import delete_unused_trials

            return delete_unused_trials

        effects.register_counter("heads", count_heads)
        # Encoder changes whose job ended without recording an outcome.
        register(PeriodicTask("settle changes of encoders", 10.0, prepare_lost_jobs))
        register(PeriodicTask("tend search indexes", 60.0, prepare_search))
        register(PeriodicTask("delete unused heat maps", 600.0, prepare_heat_maps))
        register(PeriodicTask("delete unused prompt trials", 600.0, prepare_trials))
