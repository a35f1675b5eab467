"""Parameters of the audit."""

from cultureclip.audit.settings import AuditSettings


class TeacherAuditParameters(AuditSettings):
    """Who is audited, and what it is asked; see ``parameters_teacher_audit.yml``."""
