/* Pappus runtime: runs .pap programs. C11, no dependency, no allocation, no global state. docs/c-api.md has an
 * example.
 *
 * Memory. The runtime never allocates: each object is built inside memory the caller hands over, whose size is
 * asked first. An object is released by releasing that memory; there is nothing to destroy but a pool. Blocks must
 * be aligned to 64 bytes unless said otherwise, and belong to the runtime until they are released.
 *
 * Lifetimes. file bytes > program > instance > what is bound: each must stay where it is, unchanged by others,
 * while the next exists. Names (pp_port.name and so on) are strings in the file; a kernel's name is a string of the
 * library. Arrays and structs passed by pointer are only used during the call, except the file, the objects, the
 * arena, and the data of inputs and outputs.
 *
 * Threads. A pp_program is immutable after pp_program_open and may be shared by any number of threads. A
 * pp_instance belongs to one caller at a time (any thread, one after the other); only pp_cancel may be called from
 * another thread while it runs. Two instances never share anything that is written, so different threads may run
 * different instances of one program at once, each with an arena and outputs of its own; they may share one pool.
 *
 * Errors. Every fallible function returns a status and, if `error` is not NULL, fills it. A failed call changes
 * nothing unless said otherwise. Nothing aborts, prints or calls back except the observer and the pool.
 *
 * Trust. A file may come from anywhere: one that was made to do harm may be refused, compute nonsense or take long,
 * but never touches memory outside the blocks it was given. What it reads of an arena or an output before writing
 * is whatever lay there: clear them first if that is secret. Only `file`, `size` and the blocks have to be what the
 * caller says. */
#ifndef PAPPUS_H
#define PAPPUS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define PP_API
#else
#define PP_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define PP_VERSION_MAJOR 0
#define PP_VERSION_MINOR 1
#define PP_NONE UINT32_MAX

typedef enum pp_status {
  PP_OK = 0,
  PP_ERR_ARGUMENT,    /* the caller passed something impossible */
  PP_ERR_FORMAT,      /* not a .pap file, or a broken one */
  PP_ERR_VERSION,     /* a version or feature bit this build does not know */
  PP_ERR_INPUT,       /* an input's dtype, rank or size is not what the program takes */
  PP_ERR_GUARD,       /* an assumption made at capture does not hold for these sizes */
  PP_ERR_CONTRACT,    /* an instruction's shape contract does not hold */
  PP_ERR_MEMORY,      /* the caller's memory is too small or not aligned */
  PP_ERR_UNSUPPORTED, /* no kernel in this build for an instruction */
  PP_ERR_INDEX,       /* an index value out of range, while running */
  PP_ERR_DIVISOR,     /* integer division by zero, while running */
  PP_ERR_POSITION,    /* a state position out of range, while running */
  PP_ERR_STATE,       /* state is dirty after a failed run: reset or restore it */
  PP_ERR_CANCELLED    /* pp_cancel was called */
} pp_status;

/* What went wrong, in numbers, so that a build without messages can still tell. */
typedef struct pp_error {
  pp_status status;
  uint32_t rule;        /* number of the check in rules.def, 0 if none */
  /* PP_NONE where not applicable. For inputs (rules 606 to 611), operand is the input's number and value its dimension;
   * for a guard, operand is the guard's number. */
  uint32_t method, instruction, operand, value;
  int64_t a, b;         /* the rule's two numbers: found, wanted */
} pp_error;

typedef struct pp_program pp_program;
typedef struct pp_instance pp_instance;

/* A dense, row-major tensor of the caller, little-endian as the machine is; bool is one byte, 0 or 1. `data` may be
 * NULL where only sizes are needed. */
typedef struct pp_tensor {
  void *data;
  uint32_t dtype;       /* PP_DTYPE_* of schema_gen.h */
  uint32_t rank;
  int64_t shape[8];
} pp_tensor;

/* One input, output or state. Strings live in the file. For a dimension d: symbol[d] is a symbol's
 * number or PP_NONE; size[d] is the fixed size, or -1 when it depends on symbols. */
typedef struct pp_port {
  const char *name;
  uint32_t dtype, rank;
  int64_t size[8];
  uint32_t symbol[8];
} pp_port;

typedef struct pp_symbol {
  const char *name;
  int64_t min, max, multiple_of;
} pp_symbol;

/* Sizes of a method's lists. */
typedef struct pp_method_info {
  const char *name;
  uint32_t inputs, outputs, symbols, instructions, epochs;
} pp_method_info;

/* What the observer sees of one executed instruction. Result views are valid during the call. */
typedef struct pp_observation {
  uint32_t method, instruction, results;
  int64_t nanoseconds;
  const char *kernel;   /* name of the kernel that ran */
} pp_observation;
/* Called after each instruction on the thread that called pp_run, while the pool's other threads wait; must not
 * call pp_* on the instance except pp_observed_result and pp_cancel. */
typedef void (*pp_observer)(void *user, const pp_observation *seen);

/* How the runtime gets threads; bring your own or take pp_pool_create's. pp_instance_create copies the struct; what
 * `self` points to must outlive the instances that use it. Fields that are not set must be zero. */
typedef struct pp_pool {
  void *self;           /* passed to run, wait and wake */
  uint32_t threads;     /* at least 1 */
  /* Call body(context, t, m) for t = 0..m-1 concurrently (all must make progress: they meet at barriers), t = 0 on the
   * calling thread, and return when all have returned; what they wrote must be visible then. m is n, or less, but at
   * least 1, if fewer threads are free. May be NULL when threads is 1. */
  void (*run)(void *self, void (*body)(void *context, uint32_t t, uint32_t n), void *context, uint32_t n);
  int64_t (*now)(void); /* monotonic nanoseconds, for the observer; may be NULL */
  uint32_t isa;         /* mask of instruction sets that kernels may use; 0: all that this CPU offers */
  /* Sleep while *word == seen, until wake(word) (may return early), and wake all who sleep on word. Both may be NULL:
   * threads then spin at barriers. */
  void (*wait)(void *self, uint32_t *word, uint32_t seen);
  void (*wake)(void *self, uint32_t *word);
} pp_pool;

/* -- program ------------------------------------------------------------------------------- */

#define PP_OPEN_VERIFY_DATA 1u /* also check the CRC of data and debug sections (reads the whole file) */

/* Bytes of memory pp_program_open needs: fixed, small. */
PP_API size_t pp_program_memory(void);

/* Check a file (the OPEN tier: everything that does not depend on input sizes; linear in the file) and build a
 * program in `memory`. `file` must be 16-byte aligned (4096 recommended, as mmap gives), readable only, outlive the
 * program and not change under it. On failure *program is NULL and the memory is free again. */
PP_API pp_status pp_program_open(const void *file, uint64_t size, uint32_t flags, void *memory, size_t memory_size,
                                 const pp_program **program, pp_error *error);

/* What the file says about itself. PP_ERR_ARGUMENT for a number that is out of range or a NULL, here and below. */
PP_API uint32_t pp_method_count(const pp_program *program);
PP_API pp_status pp_method_get(const pp_program *program, uint32_t method, pp_method_info *info);
PP_API pp_status pp_input_get(const pp_program *program, uint32_t method, uint32_t i, pp_port *port);
PP_API pp_status pp_output_get(const pp_program *program, uint32_t method, uint32_t i, pp_port *port);
PP_API pp_status pp_symbol_get(const pp_program *program, uint32_t method, uint32_t i, pp_symbol *symbol);
PP_API uint32_t pp_state_count(const pp_program *program);
PP_API pp_status pp_state_get(const pp_program *program, uint32_t state, pp_port *port);
/* Names of an instruction from the debug section, in the file; empty strings when it was stripped. Any may be NULL. */
PP_API void pp_debug_get(const pp_program *program, uint32_t method, uint32_t instruction, const char **op,
                         const char **name, const char **source);

/* -- instance ------------------------------------------------------------------------------ */

/* Bytes for an instance, its state and its bound methods; not the arenas. */
PP_API pp_status pp_instance_memory(const pp_program *program, uint64_t *bytes, pp_error *error);
/* Build an instance; state starts at its initial value, nothing is bound. `pool` NULL: one thread. */
PP_API pp_status pp_instance_create(const pp_program *program, const pp_pool *pool, void *memory, uint64_t memory_size,
                                    pp_instance **instance, pp_error *error);

/* Fix the input sizes of a method (the BIND tier): solves symbols, checks ranges, guards, shapes and contracts, chooses
 * kernels, plans memory. `inputs` gives dtype, rank and shape of every input. On success *arena_bytes is
 * what pp_bind_arena needs (scratch of all threads included). On failure the method is unbound. With the sizes of the
 * last call it returns at once and keeps what was bound; with others, arena, inputs and outputs must be bound again. */
PP_API pp_status pp_bind_sizes(pp_instance *instance, uint32_t method, const pp_tensor *inputs, uint32_t n_inputs,
                               uint64_t *arena_bytes, pp_error *error);
/* Lend the arena, of at least the bytes that pp_bind_sizes asked for (else PP_ERR_MEMORY), aligned to 64; it may be
 * shared by methods and instances that never run at the same time, and holds nothing between runs. */
PP_API pp_status pp_bind_arena(pp_instance *instance, uint32_t method, void *arena, uint64_t bytes);
/* Where input and output i lie: dense, of the bound shape, aligned to the element; must stay valid while running.
 * Inputs are only read. An output must not overlap another one, an input, the arena or the file; inputs may overlap
 * each other. NULL will do for tensors without elements. Binding again replaces the pointer; sizes stay. */
PP_API pp_status pp_bind_input(pp_instance *instance, uint32_t method, uint32_t i, const void *data);
PP_API pp_status pp_bind_output(pp_instance *instance, uint32_t method, uint32_t i, void *data);
/* Shape of output i for the bound sizes (data is NULL). */
PP_API pp_status pp_output_shape(const pp_instance *instance, uint32_t method, uint32_t i, pp_tensor *shape);

/* Run a bound method on at most `threads` threads of the pool (0: all), fewer where more would not pay. Results do
 * not depend on the number, to the bit. Returns when all is done. On failure outputs hold anything, and state, if
 * the method writes any, is dirty: runs are refused with PP_ERR_STATE until pp_state_reset. What `error` names is
 * what one thread alone would have met first. */
PP_API pp_status pp_run(pp_instance *instance, uint32_t method, uint32_t threads, pp_error *error);
/* Ask a running method to stop at the next epoch; callable from any thread, while the instance exists. The run returns
 * PP_ERR_CANCELLED, or PP_OK if it had just finished. Without a running method nothing happens: the next run is not
 * cancelled. */
PP_API void pp_cancel(pp_instance *instance);

/* Call `observer` after every instruction of the runs that start from now on (NULL: none; the default). Not while the
 * instance runs. Observed runs meet at a barrier before and after every instruction, so they take longer. */
PP_API void pp_observe(pp_instance *instance, pp_observer observer, void *user);
/* Inside the observer: result i of the instruction just run, with strides in elements (8 numbers). The data may be read
 * during the call only: other values use the memory afterwards. */
PP_API pp_status pp_observed_result(const pp_instance *instance, uint32_t method, uint32_t instruction, uint32_t i,
                                    pp_tensor *tensor, int64_t *strides);

/* A state's bytes (dense, row major), to read or to overwrite between runs; the pointer is the same as long as the
 * instance exists. Writing all dirty states' bytes does not clear the mark: call pp_state_reset(instance, keep = 1)
 * after restoring. */
PP_API pp_status pp_state_data(pp_instance *instance, uint32_t state, void **data, uint64_t *bytes);
/* keep = 0: every state back to its initial value; keep = 1: only clear the dirty mark. */
PP_API void pp_state_reset(pp_instance *instance, int keep);

/* -- messages ------------------------------------------------------------------------------ */

/* A sentence for an error, NUL terminated, cut to `size` (0: nothing is written); returns the length it would have.
 * `program` may be NULL: numbers then take the place of names. */
PP_API size_t pp_error_message(const pp_program *program, const pp_error *error, char *buffer, size_t size);

/* -- ports/posix.c (not in bare builds) ----------------------------------------------------- */

/* A thread pool: `threads` including the caller (0: one per CPU this process may use; at most 256; fewer if the
 * system gives no more, see pool->threads). The environment variable PAPPUS_ISA (reference, simd, avx2, avx512,
 * neon) limits what kernels use. NULL if out of memory, or if PAPPUS_ISA names nothing. When two runs want the pool
 * at once, the second runs on its caller alone; so does a run in a forked child, which has none of the threads. */
PP_API pp_pool *pp_pool_create(uint32_t threads);
/* Ends the threads and frees the pool; NULL does nothing. No instance may run with it any more. */
PP_API void pp_pool_destroy(pp_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
