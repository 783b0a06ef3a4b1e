"""Open decoder language models in ONNX files, see what each attention head writes, and steer them.

    import onnx_inject as oi

    m = oi.open("gpt2/")
    p = m.rewrite(expose=["result", "pattern@-1"], inject="all")
    cache = p.run("The largest coral reef system in the world is located off the coast of",
                  memory="The Great Barrier Reef", layer=7, tau=3)
    cache["blocks.3.attn.hook_result"]  # numpy, [batch, pos, head, d_model]
    cache.logits                        # numpy, [batch, pos, vocab]

The package calls the program ``onnx-inject``, which it contains, and runs patched files in the installed onnxruntime. The program
loads the library of that same onnxruntime (1.24.1 or newer). Whatever the program writes to standard error (notes, progress) goes to
the logger ``onnx_inject``; what it refuses becomes an :class:`OnnxInjectError`.

``onnx-inject help COMMAND`` documents every flag. :func:`call` and :meth:`Model.call` give access to all of them.
"""

from ._model import Cache, Model, Patched, encode, evaluate, open
from ._program import OnnxInjectError, call, library, program

__all__ = ["Cache", "Model", "OnnxInjectError", "Patched", "call", "encode", "evaluate", "library", "open", "program"]
