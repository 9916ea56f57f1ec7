"""Programs written for torch run unchanged: the same source, with `torch` bound to either library, same numbers."""

from __future__ import annotations

import types

import numpy as np
import pytest

import pappus as pp

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GPT = '''
class CausalSelfAttention(nn.Module):
    def __init__(self, width, heads, block):
        super().__init__()
        assert width % heads == 0
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.register_buffer("bias", torch.tril(torch.ones(block, block)).view(1, 1, block, block))
        self.heads, self.width = heads, width

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(self.width, dim=2)
        k = k.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        q = q.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        v = v.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        att = F.softmax(att, dim=-1)
        y = att @ v
        return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))


class Block(nn.Module):
    def __init__(self, width, heads, block):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = CausalSelfAttention(width, heads, block)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict(dict(
            c_fc=nn.Linear(width, 4 * width), c_proj=nn.Linear(4 * width, width), act=nn.GELU(),
        ))
        m = self.mlp
        self.mlpf = lambda x: m.c_proj(m.act(m.c_fc(x)))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlpf(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab=11, width=16, heads=2, block=8, layers=2):
        super().__init__()
        self.block_size = block
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(vocab, width), wpe=nn.Embedding(block, width),
            h=nn.ModuleList([Block(width, heads, block) for _ in range(layers)]), ln_f=nn.LayerNorm(width),
        ))
        self.lm_head = nn.Linear(width, vocab, bias=False)
        self.apply(self._init_weights)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * layers))

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def configure_optimizers(self, decay, rate):
        params = {n: p for n, p in self.named_parameters() if p.requires_grad}
        groups = [
            {"params": [p for n, p in params.items() if p.dim() >= 2], "weight_decay": decay},
            {"params": [p for n, p in params.items() if p.dim() < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))

    def forward(self, idx, targets=None):
        device = idx.device
        b, t = idx.size()
        pos = torch.arange(0, t, dtype=torch.long, device=device).unsqueeze(0)
        x = self.transformer.wte(idx) + self.transformer.wpe(pos)
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss

    @torch.no_grad()
    def generate(self, idx, steps, top_k=None):
        for _ in range(steps):
            cond = idx if idx.size(1) <= self.block_size else idx[:, -self.block_size:]
            logits = self(cond)[0][:, -1, :]
            if top_k is not None:
                v, _ = torch.topk(logits, top_k)
                logits[logits < v[:, [-1]]] = -float("Inf")
            probs = F.softmax(logits, dim=-1)
            idx = torch.cat((idx, torch.topk(probs, k=1, dim=-1)[1]), dim=1)
        return idx


def run(state, data):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = GPT().to(device)
    if state is not None:
        model.load_state_dict(state)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = model.configure_optimizers(0.1, 1e-2)
    data = torch.tensor(data, dtype=torch.long)
    losses = []
    model.train()
    for step in range(25):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * min(1.0, (step + 1) / 5)
        x, y = data[:, :-1].to(device), data[:, 1:].contiguous().to(device)
        logits, loss = model(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.4f}M parameters, loss {loss:.3f}")
    return start, losses, model.generate(data[:2, :3], 12, top_k=3).tolist()
'''

RESNET = '''
class BasicBlock(nn.Module):
    expansion: int = 1

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample=None):
        super(BasicBlock, self).__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, num_classes=4):
        super().__init__()
        self.inplanes = 4
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1, self.layer2 = self._make_layer(4, 1), self._make_layer(8, 2, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def _make_layer(self, planes, blocks, stride=1):
        downsample = None
        if stride != 1 or self.inplanes != planes:
            downsample = nn.Sequential(nn.Conv2d(self.inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))
        layers = [BasicBlock(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes * BasicBlock.expansion
        layers.extend(BasicBlock(self.inplanes, planes) for _ in range(1, blocks))
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.stem(x))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(x, 1))


def run(state, data):
    model = ResNet().double()
    if state is not None:
        model.load_state_dict(state)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    images = torch.from_numpy(data)
    labels = (images.mean(dim=(2, 3)) > 0).long().mul(torch.tensor([1, 2, 0])).sum(dim=1)
    loader = DataLoader(TensorDataset(images, labels), batch_size=8)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.5)
    losses = []
    for epoch in range(4):
        model.train()
        total, correct = 0.0, 0
        for x, y in loader:
            optimizer.zero_grad()
            output = model(x)
            loss = criterion(output, y)
            loss.backward()
            optimizer.step()
            total += loss.item() * x.size(0)
            correct += (output.argmax(dim=1, keepdim=True).view_as(y) == y).sum().item()
        scheduler.step()
        losses += [total / len(loader.dataset), correct]
    model.eval()
    with torch.no_grad():
        probabilities, classes = model(images).softmax(dim=1).max(dim=1)
    return start, losses + probabilities.tolist(), classes.tolist()
'''

UNET = '''
def double(cin, cout):
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding="same", bias=False), nn.GroupNorm(2, cout), nn.SiLU(),
        nn.Conv2d(cout, cout, 3, padding=1, padding_mode="replicate"), nn.PReLU(cout),
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([double(1, 4), double(4, 8)])
        self.mid = double(8, 8)
        self.ups = nn.ModuleList([nn.ConvTranspose2d(8, 8, 2, stride=2), nn.Upsample(scale_factor=2, mode="bilinear")])
        self.merge = nn.ModuleList([double(16, 8), double(12, 4)])
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.mid(x)
        for up, merge, skip in zip(self.ups, self.merge, reversed(skips)):
            x = merge(torch.cat([skip, up(x)], dim=1))
        return self.head(x)


def dice(logits, target, eps=1.0):
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * target).sum((1, 2, 3)) + eps) / (p.sum((1, 2, 3)) + target.sum((1, 2, 3)) + eps)


def run(state, data):
    model = UNet().double()
    if state is not None:
        model.load_state_dict(state)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    x = torch.as_tensor(data)
    mask = torch.where(F.avg_pool2d(x, 3, 1, 1) > 0.1, torch.ones_like(x), torch.zeros_like(x))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + 0.1 * step))
    losses = []
    for _ in range(6):
        logits = model(x)
        loss = F.binary_cross_entropy_with_logits(logits, mask) + dice(logits, mask).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return start, losses, (logits > 0).to(torch.uint8).sum().tolist()
'''


def program(source, library, data, state=None):
    """Run `source` with `torch` bound to `library`."""
    module = types.ModuleType("script")
    module.__dict__.update(
        torch=library, nn=library.nn, F=library.nn.functional, math=__import__("math"),
        DataLoader=library.utils.data.DataLoader, TensorDataset=library.utils.data.TensorDataset,
    )  # fmt: skip
    exec(compile(source, "script.py", "exec"), module.__dict__)
    return module.run(state, data)


SCRIPTS = {
    "gpt": (GPT, np.random.default_rng(0).integers(0, 11, (6, 1)) + np.arange(9) * np.array([[1], [2]] * 3), 2e-4),
    "resnet": (RESNET, np.random.default_rng(0).normal(size=(20, 3, 12, 10)), 1e-6),
    "unet": (UNET, np.random.default_rng(0).normal(size=(2, 1, 8, 12)), 1e-6),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_gives_torchs_numbers(name, capsys):
    source, data, tolerance = SCRIPTS[name]
    data = data % 11 if name == "gpt" else data
    torch.manual_seed(0)
    state, expected, last = program(source, torch, data)
    text = capsys.readouterr().out
    _, found, mine = program(source, pp, data, {key: value.numpy() for key, value in state.items()})
    assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert mine == last and capsys.readouterr().out == text
    assert found[-1] != found[0]
