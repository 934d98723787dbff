/**
 * The Huffman code of HPACK (RFC 7541 Appendix B). It is canonical: codes of one length follow the order of their symbols, so
 * the lengths of the 256 bytes say all; the end-of-string symbol has the last code of 30 bits.
 */
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
]
const EOS = 256
const LONGEST = 30

/** A step over four bits: the state after it, whether a byte came out, and which. No code is shorter, so at most one does. */
const STATE = 0x1ff
const EMITS = 0x200
const BYTE_AT = 16
const FAILS = -1

interface Machine {
  /** By state times 16 plus the next four bits. */
  readonly steps: Int32Array
  /** 1: a text may end here. What is left over is fewer than 8 bits, all of them ones (§5.2). */
  readonly mayEnd: Uint8Array
}

const { steps, mayEnd } = build()

/**
 * Decodes a whole text.
 *
 * @param into has room for it: 8/5 of the coded length at most.
 * @returns how many bytes it has; -1 where it is no such text (§5.2).
 */
export function decodeHuffman(from: Uint8Array, start: number, end: number, into: Uint8Array): number {
  let state = 0
  let at = 0
  for (let i = start; i < end; i += 1) {
    const byte = from[i] ?? 0
    let step = steps[state * 16 + (byte >> 4)] ?? FAILS
    if (step === FAILS) return -1
    if ((step & EMITS) !== 0) into[at++] = step >> BYTE_AT
    step = steps[(step & STATE) * 16 + (byte & 15)] ?? FAILS
    if (step === FAILS) return -1
    if ((step & EMITS) !== 0) into[at++] = step >> BYTE_AT
    state = step & STATE
  }
  return mayEnd[state] === 1 ? at : -1
}

/** The code as a tree: two entries a node; another node, or the symbol as a number below zero. */
function treeOf(): number[] {
  const tree = [0, 0]
  let code = 0
  for (let length = 1; length <= LONGEST; length += 1) {
    code *= 2
    for (let symbol = 0; symbol <= EOS; symbol += 1) {
      if ((LENGTHS[symbol] ?? LONGEST) !== length) continue
      let node = 0
      for (let bit = length - 1; bit > 0; bit -= 1) {
        const branch = 2 * node + ((code >>> bit) & 1)
        if (tree[branch] === 0) {
          tree[branch] = tree.length / 2
          tree.push(0, 0)
        }
        node = tree[branch] ?? 0
      }
      tree[2 * node + (code & 1)] = ~symbol
      code += 1
    }
  }
  return tree
}

function build(): Machine {
  const tree = treeOf()
  const states = tree.length / 2
  const machine = { steps: new Int32Array(states * 16).fill(FAILS), mayEnd: new Uint8Array(states) }
  for (let state = 0; state < states; state += 1)
    for (let four = 0; four < 16; four += 1) {
      let node = state
      let out = 0
      for (let bit = 3; bit >= 0 && node >= 0; bit -= 1) {
        const next = tree[2 * node + ((four >> bit) & 1)] ?? 0
        if (next >= 0) node = next
        else if (~next === EOS) node = FAILS
        else {
          out = EMITS | (~next << BYTE_AT)
          node = 0
        }
      }
      if (node >= 0) machine.steps[state * 16 + four] = node | out
    }
  // The way of ones from the root.
  for (let node = 0, ones = 0; ones < 8; ones += 1) {
    machine.mayEnd[node] = 1
    node = tree[2 * node + 1] ?? 0
  }
  return machine
}
