/** Renders drawings of one DiceBear style: raw premultiplied RGBA beside one JSON line of attributes for each. */
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as collection from '@dicebear/collection';
import { createAvatar } from '@dicebear/core';
import { Resvg } from '@resvg/resvg-js';

const HERE = dirname(fileURLToPath(import.meta.url));
const TABLE = JSON.parse(readFileSync(join(HERE, 'styles.json'), 'utf8'));
const PROBE = 'ff00ff';
const VISIBLE_SHARE = 0.02;

/** Returns a repeatable source of numbers in [0, 1) (mulberry32). */
function source(text) {
  let state = [...text].reduce((hash, char) => Math.imul(hash ^ char.charCodeAt(0), 16777619), 2166136261);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const pick = (random, list) => list[Math.floor(random() * list.length)];

/** Returns the hex colour moved by a few levels, so that a name is a small region and not one point. */
function jitter(random, hex) {
  const level = (at) => Math.max(0, Math.min(255, parseInt(hex.slice(at, at + 2), 16) + Math.floor(random() * 17) - 8));
  return [0, 2, 4].map((at) => level(at).toString(16).padStart(2, '0')).join('');
}

/** Returns one drawn choice for every option of a style: each part as a list of one, each probability 0 or 100. */
function chooseParts(name, entry, random) {
  const options = {};
  for (const [key, schema] of Object.entries(collection[name].schema.properties)) {
    if (key.endsWith('Probability')) options[key] = random() * 100 < (schema.default ?? 0) ? 100 : 0;
    else if (schema.items?.enum) options[key] = [pick(random, entry.fixed[key] ?? schema.items.enum)];
  }
  for (const [key, value] of Object.entries(entry.fixed)) if (!(key in options) || key.endsWith('Probability')) options[key] = value;
  const skipped = entry.fixed[`skip_${entry.mood}`] ?? [];
  while (skipped.includes(options[entry.mood]?.[0])) options[entry.mood] = [pick(random, collection[name].schema.properties[entry.mood].items.enum)];
  delete options[`skip_${entry.mood}`];
  return options;
}

/** Returns the SVG of a style, its hair group recoloured when the style itself only draws black hair. */
async function draw(name, entry, seed, options, hairHex) {
  const text = createAvatar(collection[name], { ...options, seed }).toString();
  if (!entry.recolor_hair) return text;
  const folder = join(dirname(fileURLToPath(import.meta.resolve('@dicebear/collection'))), '..', '..', name, 'lib', 'components', 'hair.js');
  const { hair } = await import(pathToFileURL(folder));
  const group = hair[options.hair[0]]({}, {});
  if (!text.includes(group)) throw new Error(`${name}: hair ${options.hair[0]} is not found in its own drawing`);
  return text.replace(group, group.replaceAll(/#(000000|000)\b|black/g, `#${hairHex}`));
}

const render = (svg, size) => new Resvg(svg, { fitTo: { mode: 'width', value: size } }).render().pixels;

/** Returns the share of pixels near the colour. */
function shareOf(pixels, hex) {
  const want = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  let count = 0;
  for (let at = 0; at < pixels.length; at += 4)
    if (pixels[at + 3] > 200 && want.every((level, channel) => Math.abs(pixels[at + channel] - level) < 40)) count += 1;
  return count / (pixels.length / 4);
}

/** Returns the hair parts of a style that show enough of their colour to be named in a caption. */
async function visibleHair(name, entry) {
  const kept = [];
  for (const part of collection[name].schema.properties[entry.hair.option].items.enum) {
    if (entry.hair.skip.includes(part) || entry.hair.bald.includes(part)) continue;
    const options = chooseParts(name, entry, source(`probe-${part}`));
    for (const key of Object.keys(options)) if (key.endsWith('Probability')) options[key] = key.startsWith(entry.hair.option) ? 100 : 0;
    options[entry.hair.option] = [part];
    for (const key of entry.colors.hair) options[key] = [PROBE];
    if (shareOf(render(await draw(name, entry, 'probe', options, PROBE), 128), PROBE) >= VISIBLE_SHARE) kept.push(part);
  }
  if (!kept.length) throw new Error(`${name}: no hair shows its colour`);
  return kept;
}

/** Returns options and attributes of one picture; a twin has glasses where the picture of this seed has none, and none where it has. */
function design(name, entry, hairParts, seed, twin) {
  const random = source(seed);
  const options = chooseParts(name, entry, random);
  const made = { style: name, seed };
  const bald = entry.hair.bald.length > 0 && random() < 0.06;
  const part = bald ? pick(random, entry.hair.bald) : pick(random, hairParts);
  options[entry.hair.option] = [part];
  if (`${entry.hair.option}Probability` in options) options[`${entry.hair.option}Probability`] = 100;
  let hairHex = '000000';
  for (const kind of ['hair', 'skin', 'clothes']) {
    const colour = pick(random, Object.keys(TABLE.palettes[kind]));
    const hex = jitter(random, TABLE.palettes[kind][colour]);
    if (kind === 'hair') hairHex = hex;
    for (const key of entry.colors[kind]) options[key] = [hex];
    if (entry.colors[kind].length || (kind === 'hair' && entry.recolor_hair)) made[kind] = colour;
  }
  if (name === 'lorelei' && random() < 0.5) { options.skinColor = ['ffffff']; delete made.skin; }
  if (bald) { delete made.hair; made.bald = true; }
  const rear = options.rearHairProbability === undefined ? part : options.rearHairProbability ? 'rear' : 'norear';
  if (entry.hair.long.includes(rear)) made.length = 'long';
  if (entry.hair.short.includes(rear)) made.length = 'short';
  if (entry.glasses) {
    made.glasses = random() < 0.35 !== twin;
    options[entry.glasses.option] = [pick(random, entry.glasses.parts)];
    options[`${entry.glasses.option}Probability`] = made.glasses ? 100 : 0;
  }
  if (entry.beard) {
    made.beard = made.length !== 'long' && random() < 0.14;
    options[`${entry.beard.option}Probability`] = made.beard ? 100 : 0;
  }
  if (entry.mood) made.mood = options[entry.mood][0];
  return { options, made, hairHex };
}

/** Writes `<out>.rgba` and `<out>.jsonl`; a finished pair is left as it is. */
async function main(name, split, count, size, out) {
  if (existsSync(`${out}.jsonl`)) return;
  const entry = TABLE.styles[name];
  const hairParts = await visibleHair(name, entry);
  console.log(`${name} ${split}: ${hairParts.length} hair parts show their colour`);
  rmSync(`${out}.rgba`, { force: true });
  const lines = [];
  const twin = split === 'twin';
  for (let index = 0; index < count; index += 1) {
    const seed = `${twin ? 'train' : split}-${name}-${index}`;
    const { options, made, hairHex } = design(name, entry, hairParts, seed, twin);
    appendFileSync(`${out}.rgba`, render(await draw(name, entry, seed, options, hairHex), size));
    lines.push(JSON.stringify(made));
  }
  writeFileSync(`${out}.part`, `${lines.join('\n')}\n`);
  renameSync(`${out}.part`, `${out}.jsonl`);
}

const [name, split, count, size, out] = process.argv.slice(2);
await main(name, split, Number(count), Number(size), out);
