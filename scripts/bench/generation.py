"""Other programs that generate text, timed per token.

usage: generation.py build CHECKPOINT FOLDER PRECISION       the model builder of onnxruntime-genai: fp32 or int4
       generation.py optimum FOLDER THREADS TOKENS < ids     optimum's ORTModelForCausalLM; prints the seconds per token
       generation.py genai FOLDER THREADS TOKENS < ids       onnxruntime-genai; the same

ids is the prompt, a list in JSON. The tokens are the most likely ones, and none ends the text. The time is that of all tokens, the
prompt included. All timed code has run once before, with a few tokens.
"""

import json
import logging
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def optimum(folder, threads, n, ids):
    import onnxruntime
    import torch
    from optimum.onnxruntime import ORTModelForCausalLM

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    torch.set_num_threads(threads)
    model = ORTModelForCausalLM.from_pretrained(folder, file_name="model.onnx", use_cache=True, use_io_binding=False, session_options=options)
    prompt = torch.tensor([ids])

    def run(n):
        model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, min_new_tokens=n, max_new_tokens=n, pad_token_id=0)

    return run


def genai(folder, threads, n, ids):
    import onnxruntime_genai as og

    config = og.Config(str(folder))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads, "inter_op_num_threads": 1}}}}))
    model = og.Model(config)

    def run(n):
        params = og.GeneratorParams(model)
        params.set_search_options(do_sample=False, max_length=len(ids) + n, min_length=len(ids) + n)
        generator = og.Generator(model, params)
        generator.append_tokens(ids)
        for _ in range(n):
            generator.generate_next_token()

    return run


def main():
    what, folder, *how = sys.argv[1:]
    if what == "build":
        out, precision = how
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", folder, "-o", out, "-p", precision, "-e", "cpu"]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return
    threads, n = map(int, how)
    ids = json.load(sys.stdin)
    run = {"optimum": optimum, "genai": genai}[what](Path(folder).resolve(), threads or os.cpu_count(), n, ids)
    run(4)
    best = min(timed(run, n) for _ in range(2))
    print(best / n)


def timed(run, n):
    start = time.perf_counter()
    run(n)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
