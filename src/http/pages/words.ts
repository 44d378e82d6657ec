// What the pages say, in one place: whoever reads these reads our voice, and another language is another file of this
// shape. Calm and short; a problem says what happened and what to do. What stands around a word (a name, a time, a link) is put in
// by the page.

/** The words of the pages, by page. */
export const words = {
  places: {
    own: 'Yours',
    administration: 'Administration',
    connect: 'Connect a client',
    connections: 'Connections',
    apps: 'Apps with access',
    clients: 'Clients',
    providers: 'Sign-in providers',
    support: 'Support',
  },
  connect: {
    title: 'Connect a client',
    lead: 'Give this address to a program, and sign in when it asks. Nothing else is needed: no key, no password.',
    noServer:
      'There is no server for you yet. The tools of this place itself are there all the same.',
    which: 'What it is for',
    all: 'All of my servers as one',
    choose: 'Choose',
    address: 'The address',
    outOfReach:
      'This program asks from the internet, and this address leads nowhere from there. Give Latchkey a public one first.',
  },
} as const
