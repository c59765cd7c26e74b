from django.apps import AppConfig


class SimulationConfig(AppConfig):
    name = "mekiki.simulation"
    label = "simulation"
    verbose_name = "Simulated reviewer"
