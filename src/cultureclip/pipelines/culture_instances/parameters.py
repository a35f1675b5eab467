"""Parameters of the culture-related instances."""

from cultureclip.audit.settings import InstanceSettings
from cultureclip.concepts.exclusions import Excluding


class CultureInstancesParameters(InstanceSettings, Excluding):
    """Who is asked about look-alikes, and how; see ``parameters_culture_instances.yml``."""
