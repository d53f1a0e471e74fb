/*
 * Publication by leased slots (src/engine/publication.ts) as a model for Spin: one publisher, READERS
 * readers, and, for each reader, the host that reaps its seat. Run by publication-model.test.ts; what is
 * proved, and what is taken for granted, stands in README.md beside this file.
 *
 * STEPS. Every access to shared memory is one step of its own, and any thread may take the next one. The test
 * compares this table with the source: every access of a function that is modelled stands here, word for
 * word.
 *
 *   function of publication.ts   its access                                             step
 *   currentSlot                  this.#words.load(CONTROL_WORD.CURRENT)                 CURRENT SLOT
 *   claimSlot                    this.#words.load(leaseWord(seat))                      SCAN
 *   nextGeneration               this.#words.load(CONTROL_WORD.GENERATION)              NUMBER
 *   (the build, load-cycle.ts)   plain writes to the slot: two words                    WRITE
 *   publish                      this.#words.store(CONTROL_WORD.GENERATION, generation) GIVE OUT
 *   publish                      this.#words.store(CONTROL_WORD.CURRENT, slot + 1)      PUBLISH
 *   claim                        words.compareExchange(ownerWord(seat), NONE, threadId + 1) CLAIM
 *   acquire                      this.#words.load(CONTROL_WORD.CURRENT)                 LOOK
 *   acquire                      this.#words.store(this.#leaseWord, current)            ANNOUNCE
 *   acquire                      this.#words.load(CONTROL_WORD.CURRENT)                 CONFIRM
 *   (a selection, reader.ts)     plain reads of the slot: either word, any number of times READ
 *   release                      this.#words.store(this.#leaseWord, NONE)               LET GO
 *   release                      this.#words.store(ownerWord(this.#seat), NONE)         GIVE UP
 *   reapSeats                    words.load(ownerWord(seat))                            REAP
 *   reapSeats                    words.store(leaseWord(seat), NONE)                     REAP LEASE
 *   reapSeats                    words.store(ownerWord(seat), NONE)                     REAP SEAT
 *
 * Publisher and readers may die before every step but their first. A publisher that has died (or whose build
 * was refused) starts again from nothing; the next reader of a line starts when the seat of the last one is
 * reaped, and that no earlier than its death: the `exit` event. REAP finds the seat in one step: nobody else
 * ever writes this owner's number into a seat or takes it out (property `alone`), so its loads may all be
 * moved to one moment.
 *
 * TWO FORMS. Without PUBLISHES nothing is bounded: publishes, deaths, reads, releases go on for ever. The
 * states are finite all the same, because generations are compared and counted up, nothing else: so only
 * their order matters, and `renumber` may rename them 1, 2, 3… as they stand (see there). With PUBLISHES,
 * WRITER_DEATHS, READER_DEATHS numbers are exact and the program ends: that checks the renaming, and that
 * everything ends.
 *
 * MUTANTS. Each #ifdef below but those of the form makes a wrong protocol of the right one.
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef SEATS
#define SEATS READERS
#endif
#if defined(SLOT_TOO_FEW)
#define SLOTS (SEATS + 1)
#elif defined(TWO_BUFFERS)
#define SLOTS 2
#define NEVER_REAPS
#else
#define SLOTS (SEATS + 2)
#endif

#define NONE 0
#define NUMBER_MAX 15

/* The control words, and two words of bytes in each slot. Slots are counted from 0, and named by slot + 1. */
byte current, generation;
byte owner[SEATS], lease[SEATS];
byte first[SLOTS], second[SLOTS];

/* What an all-seeing judge knows; no thread looks at it. */
byte newest;            /* the generation that is current */
byte held[READERS];     /* the slot that the reader may read: from CONFIRM until ANNOUNCE, LET GO or death */
byte seen[READERS];     /* the newest generation that the reader has read */
/* 1: between two looks at CURRENT in one `acquire`; 2: and a publish has been since. */
byte looking[READERS];

/*
 * The properties. With ONLY=name nothing but that one is judged.
 *   whole      every word that is read is of the generation that was current when the lease was confirmed
 *   forward    no reader meets a generation earlier than one it has met before
 *   exclusive  no slot is written that is current or held: so plain reads and writes never race (README.md)
 *   found      the publisher finds a slot, with no wait
 *   once       no generation is given out twice, whoever dies
 *   paid       every further round of `acquire` is paid for by a publish of its own
 *   alone      a seat has one owner
 *   clean      a free seat blocks no slot
 *   quiet      when all have ended all seats are free (only with PUBLISHES)
 *   ends       nobody waits for ever: what Spin calls an invalid end state (only with PUBLISHES)
 */
hidden byte whole = 1, forward = 1, exclusive = 1, found = 1, once = 1;
hidden byte paid = 1, alone = 1, clean = 1, quiet = 1, ends = 1;
#ifdef ONLY
#define MUST(property, condition) property = (condition); assert(ONLY)
#else
#define MUST(property, condition) property = (condition); assert(property)
#endif

#ifdef PUBLISHES
byte publishes, writerDeaths, readerDeaths;
#define PUBLISHES_ON (publishes < PUBLISHES)
#define WRITER_MAY_DIE writerDeaths < WRITER_DEATHS -> writerDeaths++
#define READER_MAY_DIE readerDeaths < READER_DEATHS -> readerDeaths++
#else
#define PUBLISHES_ON true
#define WRITER_MAY_DIE true
#define READER_MAY_DIE true
#endif

/* Scratch paper: of no meaning from one step to the next, and wiped so that it makes no states. */
byte i, v, old;
hidden byte inUse, rank[NUMBER_MAX + 1];
hidden int used;

inline judge(name) {
  inUse = (current == name);
  for (i : 0 .. READERS - 1) { inUse = inUse || held[i] == name }
  i = 0
}

/*
 * What stands in a slot that is neither current, held, nor being written will be overwritten before anybody
 * reads it: without PUBLISHES it is wiped, to make one state of many. Were it read after all, it would fail
 * `whole`.
 */
inline forget(name) {
#ifndef PUBLISHES
  if
  :: name == NONE -> skip
  :: else ->
     judge(name);
     if :: inUse -> skip :: else -> first[name - 1] = NONE; second[name - 1] = NONE fi
  fi
#else
  skip
#endif
}

/*
 * Renames the generations that anything still holds in their order: 1, 2, 3…. A program that does nothing
 * with numbers but compare them, and add one to the greatest, does the same afterwards. A number that was
 * given out by a publisher that died before it published is taken back: it is above all others, and so is the
 * next one.
 */
inline renumber() {
#ifndef PUBLISHES
  if :: generation > newest -> generation = newest :: else fi;
  used = (1 << newest) | (1 << generation);
  for (v : 0 .. SLOTS - 1) { used = used | (1 << first[v]) | (1 << second[v]) }
  for (i : 0 .. READERS - 1) { used = used | (1 << seen[i]) }
  v = 0;
  for (i : 1 .. NUMBER_MAX) {
    v = v + ((used >> i) & 1);
    rank[i] = v
  }
  for (v : 0 .. SLOTS - 1) { first[v] = rank[first[v]]; second[v] = rank[second[v]] }
  for (i : 0 .. READERS - 1) { seen[i] = rank[seen[i]] }
  newest = rank[newest];
  generation = rank[generation];
  i = 0; v = 0;
  assert(generation < NUMBER_MAX)
#else
  skip
#endif
}

#define BUSY(name) (name == NONE -> 0 : 1 << (name - 1))

/* The lowest slot that is not busy. */
inline pick() {
#if !defined(RESCANS) && !defined(TWO_BUFFERS)
  slot = 0;
  do :: slot < SLOTS && ((busy >> slot) & 1) -> slot++ :: else -> break od;
  MUST(found, slot < SLOTS);
#endif
#ifndef KEEPS_BUSY
  busy = 0;
#endif
  seat = 0
}

/* The publisher is gone with all it knew, and another one starts: after its `exit` event. */
inline forgetAll() {
  forget(slot + 1);
#ifdef COUNTS_BY_ITSELF
  own = 0;
#endif
  seat = 0; slot = 0; number = 0; busy = 0
}
#define WRITER_DIES atomic { WRITER_MAY_DIE; forgetAll(); goto start }

inline scan() {
  do
  :: atomic { /* SCAN: each lease once */
#ifndef IGNORES_LEASES
       busy = busy | BUSY(lease[seat]);
#endif
       seat++;
       if :: seat == SEATS -> break :: else fi
     }
  :: WRITER_DIES
  od
}

proctype publisher() {
  byte seat, slot, number, busy;
#ifdef COUNTS_BY_ITSELF
  byte own;
#endif
start:
  do
  :: atomic { /* CURRENT SLOT */
       PUBLISHES_ON ->
       renumber();
#ifndef TAKES_CURRENT
       busy = busy | BUSY(current);
#endif
     }
#if defined(RESCANS)
     do /* the leases anew for every slot */
     :: d_step { !((busy >> slot) & 1) && lease[seat] != slot + 1 -> seat++ }
        if :: seat == SEATS -> break :: else fi
     :: d_step { ((busy >> slot) & 1) || lease[seat] == slot + 1 ->
          slot++; seat = 0; MUST(found, slot < SLOTS) }
     od;
#elif defined(TWO_BUFFERS)
     slot = (current == 1 -> 1 : 0); /* and waits for its readers to leave */
     do :: seat < SEATS -> lease[seat] != slot + 1; seat++ :: else -> break od;
#elif !defined(SCANS_EARLY)
     scan();
#endif
     if
     :: atomic {
          pick();
#ifdef COUNTS_BY_ITSELF
          number = own + 1
#else
          number = generation + 1 /* NUMBER */
#endif
        }
     :: WRITER_DIES
     fi;
     if
     :: d_step { judge(slot + 1); MUST(exclusive, !inUse); first[slot] = number } /* WRITE */
     :: WRITER_DIES
     fi;
#ifdef PUBLISHES_EARLY
     d_step { current = slot + 1; newest = number };
#endif
     if
     :: d_step { judge(slot + 1); MUST(exclusive, !inUse); second[slot] = number } /* WRITE */
     :: WRITER_DIES
     fi;
#ifdef SCANS_EARLY
     scan();
     seat = 0;
#endif
#ifndef NUMBER_LAST
     if
     :: generation = number /* GIVE OUT */
     :: WRITER_DIES
     fi;
#endif
     if
     :: d_step { /* PUBLISH */
          MUST(once, number > newest);
          old = current;
          current = slot + 1;
          newest = number;
          forget(old);
          for (i : 0 .. READERS - 1) { looking[i] = (looking[i] -> 2 : 0) }
          i = 0; old = NONE;
#ifdef PUBLISHES
          publishes++;
#endif
#ifdef COUNTS_BY_ITSELF
          own = number;
#endif
#ifndef NUMBER_LAST
          number = 0;
#endif
          slot = 0
        }
     :: WRITER_DIES
     fi;
#ifdef NUMBER_LAST
     if
     :: generation = number; number = 0
     :: WRITER_DIES
     fi;
#endif
  :: !PUBLISHES_ON -> break
  od;
}

/* The lease is confirmed: the slot is the reader's to read. */
inline hold() {
  held[me] = leased;
  looking[me] = 0;
  MUST(forward, newest >= seen[me]);
  seen[me] = newest
}

inline leave() {
  old = held[me];
  held[me] = NONE;
  forget(old);
  old = NONE
}

/* The reader is gone with all it knew; its seat is still taken, its lease stands. Its `exit` event is due. */
#define READER_DIES \
  atomic { \
    READER_MAY_DIE; leave(); seen[me] = NONE; looking[me] = 0; leased = NONE; loaded = NONE; goto dead }

proctype reader(byte me) {
  byte seat, leased, loaded;
unborn:
  do
#ifdef CLAIMS_IN_TWO_STEPS
  :: owner[seat] == NONE; owner[seat] = me + 1; break
#else
  :: atomic { owner[seat] == NONE -> owner[seat] = me + 1; MUST(clean, lease[seat] == NONE) } /* CLAIM */
     break
#endif
  :: atomic { /* CLAIM fails; after the last seat (SEATS_EXHAUSTED) the thread tries again later */
       owner[seat] != NONE -> seat++;
       if :: seat == SEATS -> seat = 0 :: else fi }
  od;
  goto holding;
announce:
  if
  :: atomic { /* ANNOUNCE */
       MUST(alone, owner[seat] == me + 1);
       leave();
#if !defined(NO_ANNOUNCE) && !defined(CONFIRMS_FIRST)
       lease[seat] = loaded;
#endif
       leased = loaded; loaded = NONE;
#ifdef NO_CONFIRM
       hold(); goto holding
#endif
     }
  :: READER_DIES
  fi;
  if
#ifdef CONFIRMS_BY_NUMBER
  :: atomic { generation == first[leased - 1] -> hold() }
  :: atomic { generation != first[leased - 1] ->
       MUST(paid, looking[me] == 2); looking[me] = 1; loaded = current; goto announce }
#else
  :: atomic { current == leased -> hold() } /* CONFIRM */
  :: atomic { /* CONFIRM fails */
       current != leased ->
       MUST(paid, looking[me] == 2);
       looking[me] = 1; loaded = current;
       goto announce }
#endif
  :: READER_DIES
  fi;
#ifdef CONFIRMS_FIRST
  lease[seat] = leased;
#endif
holding:
  do
  :: leased != NONE -> d_step { MUST(whole, first[leased - 1] == seen[me]) }  /* READ */
  :: leased != NONE -> d_step { MUST(whole, second[leased - 1] == seen[me]) } /* READ */
  :: atomic { current == leased -> hold() } /* LOOK */
  :: atomic { current != leased -> loaded = current; looking[me] = 1; goto announce } /* LOOK */
#ifdef REAPS_THE_LIVING
  :: lease[seat] = NONE
#endif
#ifdef RELEASES_SEAT_FIRST
  :: owner[seat] = NONE; break
#else
  :: atomic { leave(); lease[seat] = NONE; leased = NONE; break } /* LET GO */
#endif
  :: READER_DIES
  od;
  if
#ifdef RELEASES_SEAT_FIRST
  :: atomic { leave(); lease[seat] = NONE; leased = NONE; seat = 0 }
#else
  :: atomic { owner[seat] = NONE; seat = 0; goto unborn } /* GIVE UP */
#ifdef PUBLISHES
  :: atomic { owner[seat] = NONE; seat = 0; goto done } /* GIVE UP, for good */
#endif
#endif
  :: READER_DIES
  fi;
dead:
#ifdef NEVER_REAPS
  goto done;
#endif
#ifdef REAPS_SEAT_FIRST
  owner[seat] = NONE;
  lease[seat] = NONE;
  seat = 0;
#else
#ifndef REAPS_NO_LEASE
  lease[seat] = NONE; /* REAP, REAP LEASE */
#endif
  atomic { owner[seat] = NONE; seat = 0 }; /* REAP SEAT */
#endif
  goto unborn;
done:
  skip
}

init {
  atomic {
    run publisher();
#ifdef SECOND_PUBLISHER
    run publisher();
#endif
    for (i : 0 .. READERS - 1) { run reader(i) }
    i = 0
  };
  d_step {
    _nr_pr == 1;
    for (i : 0 .. SEATS - 1) { MUST(quiet, owner[i] == NONE && lease[i] == NONE) }
  }
}
