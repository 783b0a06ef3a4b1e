"""Writes the files in this folder with the reference implementations: numpy, safetensors and gguf from PyPI (versions 2.4.6, 0.8.0, 0.19.0)."""
import os
import gguf
import numpy as np
from safetensors.numpy import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
v = np.array([0.0, 1.0, -2.5, 65504.0, 2.0**-24, 1 / 3], dtype=np.float64)
for kind in ("f2", "f4", "f8"):
    np.save(f"numpy-{kind}.npy", v.astype("<" + kind))
np.save("numpy-1d.npy", v.astype("<f4")[None])
np.save("numpy-11d.npy", v.astype("<f4")[None, None])
with open("numpy-v2.npy", "wb") as f:
    np.lib.format.write_array(f, v.astype("<f4"), version=(2, 0))

save_file({"memory": v.astype("<f4")}, "safetensors-one.safetensors", metadata={"text": "the Great Barrier Reef <é>", "layer": "7"})
save_file({"a": v.astype("<f4"), "b": v[None].astype("<f8"), "c": v.astype("<f2")[None, None], "ids": np.arange(4), "w": np.zeros((2, 3), "<f4")}, "safetensors-many.safetensors")

w = gguf.GGUFWriter("gguf-two.gguf", "controlvector")
w.add_string("controlvector.model_hint", "gpt2")
w.add_uint32("controlvector.layer_count", 2)
w.add_array("general.tags", ["steering", "test"])
w.add_bool("controlvector.normalize", False)
for layer in (1, 7):
    w.add_tensor(f"direction.{layer}", (v * layer / 7).astype("<f4"))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
