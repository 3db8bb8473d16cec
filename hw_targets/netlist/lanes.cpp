// Boards side by side: one netlist, every net a word whose bits are the boards.
//
//     sim <cycles a bit> <exchanges> <answers>, files with numbers of 32 bit, little-endian
//
// An exchange: bytes to each board (count), bytes wanted of each (wanted), cycles to wait for a byte, then
// count bytes for board 0, for board 1 and so on. Its answer: bytes that came from each, then for
// each board `wanted` bytes, zeros where fewer came. All boards hear their lines in step.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

typedef uint64_t Word;
static const Word ONES = ~Word(0);
#define CHOOSE(s, a, b) ((b) ^ ((s) & ((a) ^ (b))))

static Word v[NETS];  // v[0] is 0, v[1] is ONES

static inline void put(int at, Word value) {
    if (at > 1) v[at] = value;
}

static inline int gather(const int* at, int count, int lane) {
    int value = 0;
    for (int bit = 0; bit < count; ++bit) value |= int(v[at[bit]] >> lane & 1) << bit;
    return value;
}

// Words as they were the last time: what takes nothing new gives nothing new.
template <int COUNT>
struct Last {
    Word words[COUNT] = {};
    bool known = false;

    bool same(const int* at) {
        bool equal = known;
        for (int index = 0; index < COUNT; ++index) {
            equal &= words[index] == v[at[index]];
            words[index] = v[at[index]];
        }
        known = true;
        return equal;
    }
};

// TRELLIS_DPR16X4: 16 words of 4 bits, read at any time, written at the clock.
struct LutRam {
    Word memory[16][4] = {};

    void begin(uint64_t init) {
        for (int at = 0; at < 16; ++at)
            for (int bit = 0; bit < 4; ++bit) memory[at][bit] = init >> (4 * at + bit) & 1 ? ONES : 0;
    }
    void read(const int* a, const int* d) const {
        const Word a0 = v[a[0]], a1 = v[a[1]], a2 = v[a[2]], a3 = v[a[3]];
        for (int bit = 0; bit < 4; ++bit) {
            Word level[8];
            for (int at = 0; at < 8; ++at) level[at] = CHOOSE(a0, memory[2 * at + 1][bit], memory[2 * at][bit]);
            for (int at = 0; at < 4; ++at) level[at] = CHOOSE(a1, level[2 * at + 1], level[2 * at]);
            for (int at = 0; at < 2; ++at) level[at] = CHOOSE(a2, level[2 * at + 1], level[2 * at]);
            put(d[bit], CHOOSE(a3, level[1], level[0]));
        }
    }
    void write(Word enable, const int* a, const int* d) {
        if (!enable) return;
        for (int at = 0; at < 16; ++at) {
            Word chosen = enable;
            for (int bit = 0; bit < 4; ++bit) chosen &= at >> bit & 1 ? v[a[bit]] : ~v[a[bit]];
            if (!chosen) continue;
            for (int bit = 0; bit < 4; ++bit) memory[at][bit] = CHOOSE(chosen, v[d[bit]], memory[at][bit]);
        }
    }
};

// DP16KD: 2048 bytes of 9 bits in every board; addresses count bits. See ecp5_cells.sv.
struct Ebr {
    uint16_t memory[BOARDS][2048] = {};
    Word out[2][36] = {};
    Last<14> addresses[2];
    Word read_last[2] = {};
    struct Write { uint16_t lane, at, value; };
    std::vector<Write> writes;

    void begin(const uint16_t* content) {
        for (auto& each : memory) std::memcpy(each, content, sizeof each);
    }
    uint64_t read(int lane, int width, int address) const {
        const uint16_t* m = memory[lane];
        if (width == 36) {
            uint64_t value = 0;
            for (int at = 0; at < 4; ++at) value |= uint64_t(m[(address >> 5 << 2) | at]) << (9 * at);
            return value;
        }
        if (width == 18) return uint64_t(m[address >> 4 << 1 | 1]) << 9 | m[address >> 4 << 1];
        if (width == 9) return m[address >> 3];
        return m[address >> 3] >> (address & 7) & ((1 << width) - 1);
    }
    // d: words of 18 data pins, of 36 where a port is that wide.
    void port(int side, int width, int before, Word enable, Word write, Word reset, const int* a, const int* d) {
        Word (&q)[36] = out[side];
        if (reset)
            for (auto& bit : q) bit &= ~reset;
        const Word reads = enable & ~reset & (before ? ONES : ~write);
        const Word stores = enable & write & ~reset;
        const bool same = addresses[side].same(a) && read_last[side] == reads && !reset;
        read_last[side] = reads;
        if (!(reads | stores) || (same && !stores)) return;
        for (int lane = 0; lane < BOARDS; ++lane) {
            const Word mine = Word(1) << lane;
            if (!((reads | stores) & mine)) continue;
            const int address = gather(a, 14, lane);
            if (reads & mine) {
                const uint64_t value = read(lane, width, address);
                for (int bit = 0; bit < width; ++bit) q[bit] = (q[bit] & ~mine) | Word(value >> bit & 1) << lane;
            }
            if (!(stores & mine)) continue;
            // Bytes of 9 bits that are written, the lowest address bits enable them; or a part of one.
            const int bytes = width / 9, first = width == 36 ? address >> 5 << 2 : address >> 4 << 1;
            if (bytes > 1) {
                for (int at = 0; at < bytes; ++at)
                    if (address >> at & 1) write_byte(lane, first | at, gather(d + 9 * at, 9, lane));
            } else if (width == 9) {
                write_byte(lane, address >> 3, gather(d, 9, lane));
            } else {
                const int mask = ((1 << width) - 1) << (address & 7), old = memory[lane][address >> 3];
                write_byte(lane, address >> 3, (old & ~mask) | gather(d, width, lane) << (address & 7));
            }
        }
    }
    void write_byte(int lane, int at, int value) {
        writes.push_back({uint16_t(lane), uint16_t(at), uint16_t(value)});
    }
    void store() {
        if (writes.empty()) return;
        addresses[0].known = addresses[1].known = false;
        for (const Write& each : writes) memory[each.lane][each.at] = each.value;
        writes.clear();
    }
    // Outputs: 18 of A, 18 of B; where B reads 36 bits, A has the lower ones.
    void give(const int* d, int wide) const {
        for (int bit = 0; bit < 18; ++bit) {
            put(d[bit], wide ? out[1][bit] : out[0][bit]);
            put(d[18 + bit], wide ? out[1][18 + bit] : out[1][bit]);
        }
    }
};

// MULT18X18D without registers. in: words of A, B and their signs.
struct Multiplier {
    Last<38> last;

    void multiply(const int* in, const int* p) {
        if (last.same(in)) return;
        Word product[36] = {};
        for (int lane = 0; lane < BOARDS; ++lane) {
            int64_t x = gather(in, 18, lane), y = gather(in + 18, 18, lane);
            if (v[in[36]] >> lane & 1 && x >> 17) x -= 1 << 18;
            if (v[in[37]] >> lane & 1 && y >> 17) y -= 1 << 18;
            const uint64_t value = uint64_t(x * y);
            for (int bit = 0; bit < 36; ++bit) product[bit] |= Word(value >> bit & 1) << lane;
        }
        for (int bit = 0; bit < 36; ++bit) put(p[bit], product[bit]);
    }
};

#include "netlist.inc"

// One board's end of the serial line, which hears what the board sends.
struct Listener {
    int left = 0, bit = -1;
    uint8_t value = 0;
    std::deque<uint8_t> heard;

    void sample(bool level, int divider) {
        if (bit < 0) {
            if (!level) { bit = 0; left = divider + divider / 2; }
            return;
        }
        if (--left > 0) return;
        left = divider;
        if (bit == 8) {
            if (level) heard.push_back(value);
            bit = -1;
            return;
        }
        value = uint8_t(value >> 1 | (level ? 0x80 : 0));
        ++bit;
    }
};

static Listener listeners[BOARDS];
static int divider;
static uint64_t cycles;

static void cycle(Word line) {
    set_inputs(line, cycles >= LOCK_CYCLES ? ONES : 0);
    settle();
    const Word sent = sent_line();
    for (int lane = 0; lane < BOARDS; ++lane) listeners[lane].sample(sent >> lane & 1, divider);
    clock_edge();
    ++cycles;
}

static std::FILE *given, *answers;

static bool get_word(uint32_t* word) {
    uint8_t bytes[4];
    if (std::fread(bytes, 1, 4, given) != 4) return false;
    *word = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | uint32_t(bytes[3]) << 24;
    return true;
}

static void put_word(uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) std::fputc(int(word >> shift & 0xff), answers);
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    given = std::fopen(argv[2], "rb");
    answers = std::fopen(argv[3], "wb");
    if (!given || !answers) return 2;
    divider = std::atoi(argv[1]);
    v[1] = ONES;
    begin();
    for (int at = 0; at < 4 * LOCK_CYCLES; ++at) cycle(ONES);
    uint32_t count, wanted, patience;
    while (get_word(&count) && get_word(&wanted) && get_word(&patience)) {
        std::vector<uint8_t> bytes(size_t(count) * BOARDS);
        if (std::fread(bytes.data(), 1, bytes.size(), given) != bytes.size()) return 2;
        for (uint32_t at = 0; at < count; ++at)
            for (int bit = -1; bit <= 8; ++bit) {
                Word line = bit < 0 ? 0 : ONES;
                if (bit >= 0 && bit < 8) {
                    line = 0;
                    for (int lane = 0; lane < BOARDS; ++lane)
                        line |= Word(bytes[size_t(lane) * count + at] >> bit & 1) << lane;
                }
                for (int step = 0; step < divider; ++step) cycle(line);
            }
        // A byte is waited for as long as the first one: answers may take longer than that to come.
        size_t before = 0;
        for (uint32_t left = patience; left; --left) {
            bool done = true;
            size_t heard = 0;
            for (const auto& each : listeners) {
                done &= each.heard.size() >= wanted;
                heard += each.heard.size();
            }
            if (done) break;
            if (heard != before) left = patience;
            before = heard;
            cycle(ONES);
        }
        for (const auto& each : listeners) put_word(uint32_t(each.heard.size()));
        for (auto& each : listeners) {
            for (uint32_t at = 0; at < wanted; ++at) std::fputc(at < each.heard.size() ? each.heard[at] : 0, answers);
            each.heard.clear();
        }
    }
    return std::fclose(answers) ? 2 : 0;
}
