"""A new project of an agent, its test and its settings, out of templates."""

from aiosv3.app.scaffold.project import BadProject, Named, named, write_project

__all__ = ["BadProject", "Named", "named", "write_project"]
