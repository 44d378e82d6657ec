// What the pages say, in one place: whoever reads these reads our voice, and another language is another file of this
// shape. Calm and short; a problem says what happened and what to do. What stands around a word (a name, a time, a link) is put in
// by the page.

/** The words of the pages, by page. */
export const words = {
  places: {
    own: 'Yours',
    administration: 'Administration',
    connections: 'Connections',
    apps: 'Apps with access',
    clients: 'Clients',
    providers: 'Sign-in providers',
    support: 'Support',
  },
  common: {
    showMore: 'Show more',
  },
} as const
