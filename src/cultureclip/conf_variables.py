"""Environment variables through which a session tells pipelines, while they are built, which config it uses."""

ENV_VARIABLE = "KEDRO_ENV"
CONF_VARIABLE = "CULTURECLIP_CONF_SOURCE"
