/* What the files of the core share: the program as opened, the instance as built. Nothing here is public. */
#ifndef PP_INTERNAL_H
#define PP_INTERNAL_H

#include <string.h>

#include "../kernels/kernel.h"
#include "../schema/schema_gen.h"
#include "reader.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Pappus files and kernels are little-endian; this machine is not."
#endif

/* Largest byte count anywhere: sums of a few of them stay far from overflowing 64 bits. */
#define PP_BYTES_MAX ((uint64_t)1 << 62)
/* Largest buffer: what a pointer of this machine can walk, so that offsets inside a buffer fit size_t. */
#define PP_BUFFER_MAX (SIZE_MAX / 2 < PP_BYTES_MAX ? (uint64_t)(SIZE_MAX / 2) : PP_BYTES_MAX)

enum {
#define PP_RULE(number, name, status, message) PP_RULE_##name = number,
#include "rules.def"
#undef PP_RULE
};

/* The status that belongs to a rule. */
pp_status pp_rule_status(uint32_t rule);
/* Fill an error (never NULL inside the core) and return its status. */
pp_status pp_refuse(pp_error *error, uint32_t rule, int64_t a, int64_t b);
/* Start with an error that names nothing. */
void pp_error_clear(pp_error *error);

#define PP_TRY(call)                         \
  do {                                       \
    pp_status status_ = (call);              \
    if (status_ != PP_OK) return status_;    \
  } while (0)

/* -- the program ----------------------------------------------------------------------------- */

typedef struct pp_section {
  const uint8_t *at;
  uint64_t size;
} pp_section;

enum { PP_SECTION_METADATA = 1, PP_SECTION_DATA, PP_SECTION_DEBUG, PP_SECTION_DELEGATES, PP_SECTION_KINDS };

struct pp_program {
  pp_section sections[PP_SECTION_KINDS];
  pp_list constants, states, methods;
};

/* A method's lists as they lie in the file. */
typedef struct pp_method {
  const char *name;
  pp_list symbols, exprs, guards, buffers, values, pool, floats, programs, pointwise, instructions, inputs, outputs,
      plan_order, regions;
} pp_method;

typedef struct pp_expr { int64_t value; uint32_t a, b; uint8_t op; } pp_expr;
typedef struct pp_constant { uint64_t offset, size; uint32_t section; } pp_constant;
typedef struct pp_buffer { uint32_t index, size; uint8_t storage; } pp_buffer;
typedef struct pp_value { uint32_t buffer, offset, dims; uint8_t rank, dtype, pack; } pp_value;
typedef struct pp_range { uint32_t first; uint16_t count; uint8_t registers, loads; } pp_range;
typedef struct pp_instruction {
  uint32_t operands, attrs, floats, program;
  uint8_t n_args, n_results, n_program_args, n_attrs, n_floats, family, algorithm, barrier;
} pp_instruction;
typedef struct pp_state_record { const char *name; uint64_t size; uint32_t init; uint8_t dtype; pp_list shape; } pp_state_record;

/* Records of lists; the number must be below the list's count. */
pp_expr pp_expr_at(const pp_method *m, uint32_t i);
pp_buffer pp_buffer_at(const pp_method *m, uint32_t i);
pp_value pp_value_at(const pp_method *m, uint32_t i);
pp_range pp_range_at(const pp_method *m, uint32_t i);
pp_instruction pp_instruction_at(const pp_method *m, uint32_t i);
pp_constant pp_constant_at(const pp_program *p, uint32_t i);
static inline uint32_t pp_pool_at(const pp_method *m, uint32_t i) { return pp_u32(m->pool.at + (size_t)i * 4); }

/* A reader over the metadata; one per call, so a program is never written. */
pp_reader pp_program_reader(const pp_program *p);
/* Decode a method, a port (value number returned), a symbol, a state. The reader tells whether that went well. */
void pp_method_read(pp_reader *r, const pp_program *p, uint32_t i, pp_method *m);
uint32_t pp_port_read(pp_reader *r, pp_list ports, uint32_t i, const char **name);
void pp_symbol_read(pp_reader *r, const pp_method *m, uint32_t i, pp_symbol *symbol);
pp_state_record pp_state_read(pp_reader *r, const pp_program *p, uint32_t i);

int pp_dtype_size(uint32_t dtype); /* bytes of an element, 0 for an unknown dtype */

/* Open-tier checks, one file each. `error->method` is set by the caller. */
pp_status pp_open_method(pp_reader *r, const pp_program *p, const pp_method *m, pp_error *error);
pp_status pp_open_programs(pp_reader *r, const pp_method *m, pp_error *error);
pp_status pp_open_instructions(pp_reader *r, const pp_method *m, pp_error *error);

uint32_t pp_crc32(uint32_t crc, const uint8_t *bytes, uint64_t size);

/* -- the instance ---------------------------------------------------------------------------- */

/* What an input was bound to. */
typedef struct pp_bound_input {
  uint32_t dtype, rank;
  int64_t shape[PP_MAX_RANK];
} pp_bound_input;

/* A method inside an instance. Arrays are in the instance's memory and sized by the program alone. */
typedef struct pp_bound {
  pp_method m;
  int64_t *symbols, *exprs; /* their values */
  int64_t *attrs;           /* of all instructions, one after the other */
  pp_bound_input *inputs;
  pp_step *steps;           /* one per instruction */
  pp_view *views;           /* of all operands, one after the other */
  uint64_t *buffer_bytes;
  uint64_t *buffer_offset;  /* in the arena */
  uint8_t **buffer_base;    /* 0 until known */
  uint32_t *first, *last;   /* epochs in which an arena buffer is alive; first = PP_NONE: never */
  uint32_t *placed;         /* the planner's scratch */
  uint32_t epochs;
  uint64_t plan_bytes, scratch_bytes, arena_bytes;
  uint8_t *arena;
  uint32_t useful_threads;  /* more would cost more than they bring */
  bool writes_state, sized, resolved;
} pp_bound;

typedef struct pp_state_memory {
  uint8_t *at;
  uint64_t size;
  const uint8_t *init; /* NULL: zeros */
  uint32_t buffer;     /* of the method being checked that has this memory */
} pp_state_memory;

struct pp_instance {
  const pp_program *program;
  pp_pool pool;         /* threads = 1 and run = NULL: none */
  pp_bound *methods;
  uint32_t n_methods, n_states;
  pp_state_memory *states;
  pp_observer observer;
  void *observer_user;
  uint32_t isa;         /* mask of what kernels may use */
  uint32_t cancelled, dirty;
};

/* Evaluates every expression of a method into `values`. */
pp_status pp_expr_evaluate(const pp_method *m, const int64_t *symbols, int64_t *values, pp_error *error);

/* The view of value number `value` for the bound sizes, checked to lie inside its buffer. */
pp_status pp_view_of(const pp_bound *b, uint32_t value, pp_view *view, pp_error *error);

/* Memory plan (docs/format.md): offsets of the buffers listed in `order`, each alive in epochs [first, last].
 * Returns the arena's bytes, UINT64_MAX if that is above PP_BYTES_MAX. `placed`: scratch of n_order numbers. */
uint64_t pp_plan_arena(const uint64_t *bytes, const uint32_t *first, const uint32_t *last, const uint32_t *order,
                       uint32_t n_order, uint64_t *offsets, uint32_t *placed);

/* Rough operations of a step, to decide how many threads pay. */
uint64_t pp_step_work(const pp_step *step);

#endif
