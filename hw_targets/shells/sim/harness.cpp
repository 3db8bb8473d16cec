// Drives the pins of a whole board shell as oscillator, serial cable and a finger on the button would.
//
//     sim <half a period of the oscillator> <a cycle of the shell's clock> <cycles a bit>, times in ps
//
// Commands come on stdin, answers go to stdout, numbers are 32 bit little-endian:
//   W count bytes...   send bytes, 8N1
//   R count cycles     run until `count` bytes have come or `cycles` passed -> count bytes...
//   L level cycles     hold the receive line (0: break or glitch, 1: rest)
//   P cycles           press the button (active low)
//   S                  -> cycles so far, LED pins
// Simulated time moves on only within a command, so every run is repeatable.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>

#include "Vshell.h"
#include "verilated.h"

namespace {

VerilatedContext context;
Vshell* top;
uint64_t half_oscillator, cycle, next_edge;
int divider;
uint32_t cycles;
std::deque<uint8_t> received;

struct Listener {
    int left = 0;  // cycles until the next sample
    int bit = -1;  // -1: waiting for a start bit
    uint8_t value = 0;

    void sample(bool level) {
        if (bit < 0) {
            if (!level) { bit = 0; left = divider + divider / 2; }
            return;
        }
        if (--left > 0) return;
        left = divider;
        if (bit == 8) {
            if (level) received.push_back(value);
            bit = -1;
            return;
        }
        value = static_cast<uint8_t>(value >> 1 | (level ? 0x80 : 0));
        ++bit;
    }
} listener;

// One cycle: every edge of the oscillator, and whatever the PLL's model does, in order of time.
void tick(bool level) {
    top->uart_rx = level;
    const uint64_t until = context.time() + cycle;
    for (uint64_t now = context.time(); now < until;) {
        now = std::min(next_edge, until);
        if (top->eventsPending()) now = std::min<uint64_t>(now, top->nextTimeSlot());
        context.time(now);
        if (now == next_edge) {
            top->clk_in = !top->clk_in;
            next_edge += half_oscillator;
        }
        top->eval();
    }
    listener.sample(top->uart_tx);
    ++cycles;
}

void hold(bool level, uint32_t count) {
    while (count--) tick(level);
}

void send(uint8_t byte) {
    hold(false, divider);
    for (int bit = 0; bit < 8; ++bit) hold(byte >> bit & 1, divider);
    hold(true, divider);
}

uint8_t get_byte() {
    const int byte = std::getchar();
    if (byte == EOF) std::exit(0);
    return static_cast<uint8_t>(byte);
}

uint32_t get_word() {
    uint32_t word = 0;
    for (int shift = 0; shift < 32; shift += 8) word |= static_cast<uint32_t>(get_byte()) << shift;
    return word;
}

void put_word(uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) std::putchar(word >> shift & 0xff);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    half_oscillator = next_edge = std::strtoull(argv[1], nullptr, 10);
    cycle = std::strtoull(argv[2], nullptr, 10);
    divider = std::atoi(argv[3]);
    context.randReset(2);  // registers without a reset start at random, as they may in hardware
    context.randSeed(1);
    top = new Vshell(&context);
#ifdef LF_BUTTON
    top->button = 1;
#endif
    hold(true, 64);  // the PLL locks
    for (;;) {
        const char command = static_cast<char>(get_byte());
        if (command == 'W') {
            for (uint32_t count = get_word(); count; --count) send(get_byte());
        } else if (command == 'R') {
            const uint32_t count = get_word();
            for (uint32_t left = get_word(); left && received.size() < count; --left) tick(true);
            const uint32_t given = received.size() < count ? received.size() : count;
            put_word(given);
            for (uint32_t index = 0; index < given; ++index) {
                std::putchar(received.front());
                received.pop_front();
            }
        } else if (command == 'L') {
            const bool level = get_byte();
            hold(level, get_word());
        } else if (command == 'P') {
#ifdef LF_BUTTON
            top->button = 0;
            hold(true, get_word());
            top->button = 1;
#else
            hold(true, get_word());
#endif
        } else if (command == 'S') {
            put_word(cycles);
#ifdef LF_LEDS
            put_word(top->led);
#else
            put_word(0);
#endif
        } else {
            return 2;
        }
        std::fflush(stdout);
    }
}
