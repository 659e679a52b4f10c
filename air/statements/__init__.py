"""The statements that come with the project, one file each: columns, constraints, trace and public meaning."""
