"""`build`: a Dockerfile and its context → an image. Composition of `layerstore.build`, the store and the runner.

`build` is the verb; `images` finds bases, `executor` carries out single steps, `workers` is where they run,
`output` hands the result on.
"""
