"""The samplers once more, written from their formulas in k-diffusion's terms, to compare the real ones with.

x is the picture plus sigma times noise; D(x, sigma) is the denoiser. Everything in double precision.
"""

import math

import torch

TRAIN = 1000


def products():
    """Cumulative products of 1 - beta, [1000]."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TRAIN, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


def all_sigmas():
    return ((1 - products()) / products()).sqrt()


def sigma_at(timestep):
    """Noise level at a timestep that need not be whole: a line in log sigma."""
    logs = all_sigmas().log()
    t = torch.as_tensor(timestep, dtype=torch.float64)
    low = t.floor().clamp(0, TRAIN - 2).long()
    share = t - low
    return ((1 - share) * logs[low] + share * logs[low + 1]).exp()


def levels(schedule, n):
    """Noise levels of n steps, falling, then 0."""
    smallest, largest = all_sigmas()[0], all_sigmas()[-1]
    if schedule == "Uniform":
        found = sigma_at(torch.linspace(TRAIN - 1, 0, n, dtype=torch.float64))
    elif schedule == "SGM Uniform":
        found = sigma_at(torch.linspace(TRAIN - 1, 0, n + 1, dtype=torch.float64)[:-1])
    elif schedule == "Karras":
        ramp = torch.linspace(0, 1, n, dtype=torch.float64)
        found = (largest ** (1 / 7) + ramp * (smallest ** (1 / 7) - largest ** (1 / 7))) ** 7
    else:
        found = torch.linspace(math.log(largest), math.log(smallest), n, dtype=torch.float64).exp()
    return torch.cat([found, torch.zeros(1, dtype=torch.float64)])


def denoised(x, sigma):
    """Posterior mean for pictures whose values are ±1 with a spread of 0.3: an exact, curved denoiser."""
    spread = 0.3
    variance = spread**2 + sigma**2
    plus, minus = (-((x - 1) ** 2) / (2 * variance)), (-((x + 1) ** 2) / (2 * variance))
    share = torch.sigmoid(plus - minus)
    mean = 2 * share - 1
    return (x * spread**2 + mean * sigma**2) / variance


def predicted_noise(vp_latents, timestep, prediction_type="epsilon"):
    """What a perfect UNet says: of latents scaled to unit variance, at a timestep."""
    sigma = sigma_at(timestep)
    scale = (1 + sigma**2).sqrt()
    x = vp_latents.double() * scale
    clean = denoised(x, sigma)
    noise = (x - clean) / sigma
    if prediction_type == "v_prediction":
        return noise / scale - sigma / scale * clean
    return noise


def euler(noise, sigmas, generator=None):
    x = noise.double() * sigmas[0]
    for now, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        x = x + (x - denoised(x, now)) / now * (following - now)
    return x


def euler_a(noise, sigmas, generator):
    """Ancestral: down to sigma_down, then fresh noise up to the next level."""
    x = noise.double() * sigmas[0]
    for now, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        up = (following**2 * (now**2 - following**2) / now**2).sqrt()
        down = (following**2 - up**2).sqrt()
        x = x + (x - denoised(x, now)) / now * (down - now)
        if following > 0:
            x = x + torch.randn(noise.shape, generator=generator).double() * up
    return x


def dpm_plus_plus_2m(noise, sigmas, generator=None):
    """Lu et al. 2022, arXiv:2211.01095, algorithm 2, in sigma terms."""
    x = noise.double() * sigmas[0]
    before, step_before = None, None
    for now, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        clean = denoised(x, now)
        if before is None or following == 0:
            direction = clean
        else:
            ratio = step_before / (now.log() - following.log())
            direction = clean + (clean - before) / (2 * ratio)
        x = following / now * x - (following / now - 1) * direction
        before, step_before = clean, (now.log() - following.log())
    return x


def ddim(noise, n):
    """Song et al. 2020, equation 12, eta 0, at A1111's timesteps; n - 1 steps, ending at the smallest timestep."""
    timesteps = (torch.arange(0, TRAIN, TRAIN // n) + 1).flip(0)
    x = noise.double()
    for now, following in zip(timesteps[:-1], timesteps[1:], strict=True):
        a, b = products()[now], products()[following]
        # the model is asked at whole timesteps, where the noise level is the training one
        noise_part = predicted_noise(x, now)
        clean = (x - (1 - a).sqrt() * noise_part) / a.sqrt()
        x = b.sqrt() * clean + (1 - b).sqrt() * noise_part
    return x


def unipc(noise, sigmas, order=3):
    """Zhao et al. 2023, arXiv:2302.04867, B(h) = h, data prediction; `sigmas` holds all levels, the last included."""
    alphas = 1 / (1 + sigmas**2).sqrt()
    lambdas = -sigmas.log()
    x = noise.double()
    models = [_clean(x, alphas, sigmas, 0)]
    for i in range(1, len(sigmas)):
        p = min(order, i, len(sigmas) - i)
        history = [(models[i - 1 - k], lambdas[i - 1 - k]) for k in range(p)]
        predicted = _uni(x, i, alphas, sigmas, lambdas, history, None)
        if i == len(sigmas) - 1:
            return predicted
        models.append(_clean(predicted, alphas, sigmas, i))
        x = _uni(x, i, alphas, sigmas, lambdas, history, models[i])
    return x


def _clean(x, alphas, sigmas, i):
    return denoised(x / alphas[i], sigmas[i])


def _uni(x, i, alphas, sigmas, lambdas, history, newest):
    """One predictor (newest None) or corrector step from level i - 1 to level i."""
    h = lambdas[i] - lambdas[i - 1]
    first = history[0][0]
    ratios = [(level - lambdas[i - 1]) / h for _, level in history[1:]]
    differences = [(model - first) / ratio for (model, _), ratio in zip(history[1:], ratios, strict=True)]
    if newest is not None:
        ratios, differences = [*ratios, torch.tensor(1.0, dtype=torch.float64)], [*differences, newest - first]
    alpha, sigma = alphas[i], sigmas[i] * alphas[i]
    sigma_before = sigmas[i - 1] * alphas[i - 1]
    z = -h
    base = sigma / sigma_before * x - alpha * torch.expm1(z) * first
    if not ratios:
        return base
    sums, phi, factorial = [], torch.expm1(z) / z - 1, 1
    for k in range(1, len(ratios) + 1):
        sums.append(phi * math.factorial(k) / z)
        factorial *= k + 1
        phi = phi / z - 1 / factorial
    if len(ratios) == 1:
        weights = torch.tensor([0.5], dtype=torch.float64)
    else:
        rows = torch.stack([torch.stack(ratios) ** k for k in range(len(ratios))])
        weights = torch.linalg.solve(rows, torch.stack(sums))
    total = sum(weight * difference for weight, difference in zip(weights, differences, strict=True))
    return base - alpha * z * total
