"""Builds: the Dockerfile language, build contexts, and the keys by which finished steps are found again.

Text becomes values (`source` → `lexer` → `parser` → `interpret`), values become a graph of stages
(`stages`), a stage becomes steps with all variables expanded (`evaluate`), and a step gets its key
(`step_key`, `content_key`). Of all these only `context`, `tar_context` and `digest_cache` touch a file system.
"""
