"""The README's example: learn whether two numbers have the same sign, export, run in C."""

# ruff: noqa: I001, B007 - word for word what the README shows

import numpy as np
import pappus as pp
import pappus.nn as nn

pp.manual_seed(0)
x = pp.randn(512, 2)
y = (x[:, 0] * x[:, 1] > 0).long()  # are the two signs equal?

model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = pp.optim.AdamW(model.parameters(), lr=0.02)
for step in range(200):
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

batch = pp.export.Dim("batch", min=1, max=1024)
exported = pp.export.export(model.eval(), (x,), dynamic_shapes={"input": {0: batch}})
pp.export.lower(exported).save("signs.pap")

session = pp.runtime.load("signs.pap")  # needs numpy and cffi only; or run it from C
points = np.array([[1, 2], [-1, 2], [-3, -1]], np.float32)
print(session(points).argmax(-1))  # [1 0 1]
